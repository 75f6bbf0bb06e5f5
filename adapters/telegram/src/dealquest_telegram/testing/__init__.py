"""An offline Bot API server for tests and for trying a bot in the browser, and a conversation that echoes."""

from .echo import EchoConversation
from .faults import Fault
from .people import Seen, SimulatedUser
from .server import TOKEN, BotApiServer, Call

__all__ = ["TOKEN", "BotApiServer", "Call", "EchoConversation", "Fault", "Seen", "SimulatedUser"]
