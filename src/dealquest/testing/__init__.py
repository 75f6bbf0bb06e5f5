"""Doubles that ship: what a user's own tests need to run without a network and without waiting."""

from .clock import FrozenClock
from .judge import JudgeCall, ScriptedJudge
from .recording import Exchange, RecordingTransport, ReplayTransport, load_exchanges, save_exchanges
from .wire import Cut, Delay, Hang, ScriptedTransport, Step, answer_bytes, answer_events, answer_json, fail

__all__ = [
    "Cut",
    "Delay",
    "Exchange",
    "FrozenClock",
    "Hang",
    "JudgeCall",
    "RecordingTransport",
    "ReplayTransport",
    "ScriptedJudge",
    "ScriptedTransport",
    "Step",
    "answer_bytes",
    "answer_events",
    "answer_json",
    "fail",
    "load_exchanges",
    "save_exchanges",
]
