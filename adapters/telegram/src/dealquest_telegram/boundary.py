"""What the adapter needs of the dialogue and of the durable store, as values and one protocol. No I/O."""

from collections.abc import Sequence
from typing import Literal, Protocol

import attrs

SpanKind = Literal["bold", "italic", "underline", "strike", "spoiler", "code", "pre", "quote", "link"]
EventKind = Literal["text", "button", "voice", "photo", "other"]


@attrs.frozen(kw_only=True)
class Span:
    kind: str
    start: int
    end: int
    target: str = ""


@attrs.frozen(kw_only=True)
class Text:
    text: str
    spans: tuple[Span, ...] = ()
