"""Ask a model: messages, two dialects, one router that is never fooled. What few ask for loads when it is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .answer_stream import AnswerStream
from .health import RouteState
from .messages import (
    Ask,
    Attempt,
    Audio,
    Citation,
    Completion,
    Done,
    Event,
    File,
    Image,
    Message,
    Prompt,
    ReasoningDelta,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallReady,
    UsageReport,
    WebSearch,
    assistant,
    system,
    tool_result,
    user,
)
from .models import CLAUDE_MODEL, DEFAULT_MODEL, RESEARCH_MODEL, resolve_model
from .observing import CallWatch, Observer
from .prices import DEAREST, Price, find_price, worst_case
from .router import Router, RouterState, Structured
from .routes import Provider, Route, own_provider, providers_of
from .sending import Limits
from .spend import SpendBudget, SpendState

if TYPE_CHECKING:
    from .embeddings import Embeddings, ListedModel, worst_case_of_texts
    from .keys import KeyCheck, ModelCheck, check_key, check_models
    from .research import Research, fence

__all__ = [
    "CLAUDE_MODEL",
    "DEAREST",
    "DEFAULT_MODEL",
    "RESEARCH_MODEL",
    "AnswerStream",
    "Ask",
    "Attempt",
    "Audio",
    "CallWatch",
    "Citation",
    "Completion",
    "Done",
    "Embeddings",
    "Event",
    "File",
    "Image",
    "KeyCheck",
    "Limits",
    "ListedModel",
    "Message",
    "ModelCheck",
    "Observer",
    "Price",
    "Prompt",
    "Provider",
    "ReasoningDelta",
    "Research",
    "Route",
    "RouteState",
    "Router",
    "RouterState",
    "SpendBudget",
    "SpendState",
    "Structured",
    "Text",
    "TextDelta",
    "Tool",
    "ToolCall",
    "ToolCallReady",
    "UsageReport",
    "WebSearch",
    "assistant",
    "check_key",
    "check_models",
    "fence",
    "find_price",
    "own_provider",
    "providers_of",
    "resolve_model",
    "system",
    "tool_result",
    "user",
    "worst_case",
    "worst_case_of_texts",
]

_HOMES = {
    "embeddings": ("Embeddings", "ListedModel", "worst_case_of_texts"),
    "keys": ("KeyCheck", "ModelCheck", "check_key", "check_models"),
    "research": ("Research", "fence"),
}


def __getattr__(name: str) -> Any:
    """Load the part that holds a name."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
