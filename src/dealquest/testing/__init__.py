"""Doubles that ship: what a user's own tests need to run without a network and without waiting."""

from .clock import FrozenClock
from .loopback import Arrival, Fault, LoopbackServer, Reply
from .recording import Exchange, RecordingTransport, ReplayTransport, load_exchanges, save_exchanges
from .speech_servers import AssemblyAIServer, JobScript, WhisperServer
from .wire import Cut, Delay, Hang, ScriptedTransport, Step, answer_bytes, answer_events, answer_json, fail

__all__ = [
    "Arrival",
    "AssemblyAIServer",
    "Cut",
    "Delay",
    "Exchange",
    "Fault",
    "FrozenClock",
    "Hang",
    "JobScript",
    "LoopbackServer",
    "RecordingTransport",
    "ReplayTransport",
    "Reply",
    "ScriptedTransport",
    "Step",
    "WhisperServer",
    "answer_bytes",
    "answer_events",
    "answer_json",
    "fail",
    "load_exchanges",
    "save_exchanges",
]
