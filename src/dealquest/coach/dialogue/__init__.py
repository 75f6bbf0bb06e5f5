"""The transport-free conversation: an `Event` in, `Reply` values out, pure decisions between."""

from .catalogue import Catalogue, catalogue
from .converse import converse
from .scene import Flow, Scene
from .text import Span, Style, Text, fill, join, styled
from .values import (
    Attempt,
    Best,
    Button,
    Effect,
    EffectResult,
    Event,
    EventKind,
    Person,
    Progress,
    Reply,
    ScoreAnswer,
    ScoringFailed,
    State,
    Turn,
    User,
    View,
    XpEntry,
    storable,
)

__all__ = [
    "Attempt",
    "Best",
    "Button",
    "Catalogue",
    "Effect",
    "EffectResult",
    "Event",
    "EventKind",
    "Flow",
    "Person",
    "Progress",
    "Reply",
    "Scene",
    "ScoreAnswer",
    "ScoringFailed",
    "Span",
    "State",
    "Style",
    "Text",
    "Turn",
    "User",
    "View",
    "XpEntry",
    "catalogue",
    "converse",
    "fill",
    "join",
    "storable",
    "styled",
]
