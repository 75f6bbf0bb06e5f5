"""Doubles that ship: what a user's own tests need to run without a network and without waiting.

Each name is loaded when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .books import find_disagreements
    from .clock import FrozenClock
    from .coaching import Chatter, HeldMedia, ScriptedEars, ScriptedModels
    from .init_data import sign_init_data, sign_init_data_ed25519, sign_login_widget
    from .judge import JudgeCall, ScriptedJudge
    from .loopback import Arrival, Fault, LoopbackServer, Reply
    from .model_server import ModelServer
    from .models import ChatAnswer, ChatModels, ChatQuestion, judge_by
    from .recording import Exchange, RecordingTransport, ReplayTransport, load_exchanges, save_exchanges
    from .speech_servers import AssemblyAIServer, JobScript, WhisperServer
    from .traces import CapturedTraces, Tree, build_trees, capture_traces
    from .wire import Cut, Delay, Hang, ScriptedTransport, Step, answer_bytes, answer_events, answer_json, fail

__all__ = [
    "Arrival",
    "AssemblyAIServer",
    "CapturedTraces",
    "ChatAnswer",
    "ChatModels",
    "ChatQuestion",
    "Chatter",
    "Cut",
    "Delay",
    "Exchange",
    "Fault",
    "FrozenClock",
    "Hang",
    "HeldMedia",
    "JobScript",
    "JudgeCall",
    "LoopbackServer",
    "ModelServer",
    "RecordingTransport",
    "ReplayTransport",
    "Reply",
    "ScriptedEars",
    "ScriptedJudge",
    "ScriptedModels",
    "ScriptedTransport",
    "Step",
    "Tree",
    "WhisperServer",
    "answer_bytes",
    "answer_events",
    "answer_json",
    "build_trees",
    "capture_traces",
    "fail",
    "find_disagreements",
    "judge_by",
    "load_exchanges",
    "save_exchanges",
    "sign_init_data",
    "sign_init_data_ed25519",
    "sign_login_widget",
]

_HOMES = {
    "books": ("find_disagreements",),
    "clock": ("FrozenClock",),
    "coaching": ("Chatter", "HeldMedia", "ScriptedEars", "ScriptedModels"),
    "init_data": (
        "sign_init_data",
        "sign_init_data_ed25519",
        "sign_login_widget",
    ),
    "judge": (
        "JudgeCall",
        "ScriptedJudge",
    ),
    "loopback": (
        "Arrival",
        "Fault",
        "LoopbackServer",
        "Reply",
    ),
    "model_server": ("ModelServer",),
    "models": (
        "ChatAnswer",
        "ChatModels",
        "ChatQuestion",
        "judge_by",
    ),
    "recording": (
        "Exchange",
        "RecordingTransport",
        "ReplayTransport",
        "load_exchanges",
        "save_exchanges",
    ),
    "speech_servers": (
        "AssemblyAIServer",
        "JobScript",
        "WhisperServer",
    ),
    "traces": (
        "CapturedTraces",
        "Tree",
        "build_trees",
        "capture_traces",
    ),
    "wire": (
        "Cut",
        "Delay",
        "Hang",
        "ScriptedTransport",
        "Step",
        "answer_bytes",
        "answer_events",
        "answer_json",
        "fail",
    ),
}


def __getattr__(name: str) -> Any:
    """Load the part that holds a name."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
