"""What a route takes and gives, written on its handler: the material of the OpenAPI document.

A description changes nothing in how the handler works; the same classes check the real bodies.
"""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, TypeVar

import attrs

F = TypeVar("F", bound=Callable[..., Any])

Guard: TypeAlias = Literal["nobody", "anon", "user", "admin"]
"""Who may call: everybody without proof, any credential, a person, the project's admin."""

_NAME = "__description__"


@attrs.frozen(kw_only=True)
class Description:
    """One route.

    Attributes:
        takes: The type of the JSON body.
        query: A struct of the query's parameters.
        gives: The type of the JSON answer; any JSON when left out.
        status: The status of success.
        also: Further statuses of success, with the same body.
        guard: Who may call.
        streams: Whether the answer may also come as server-sent events.
        passes_on: Whether answers and refusals are those of a part behind, such as the database, in its own form.
        media_type: Of an answer that is no JSON.
    """

    takes: Any = None
    query: type | None = None
    gives: Any = None
    status: int = 200
    also: tuple[int, ...] = ()
    guard: Guard = "nobody"
    streams: bool = False
    passes_on: bool = False
    media_type: str = "application/json"


def describe(**facts: Any) -> Callable[[F], F]:
    """Write a description on a handler; see `Description`."""
    description = Description(**facts)

    def mark(handler: F) -> F:
        setattr(handler, _NAME, description)
        return handler

    return mark


def description_of(handler: object) -> Description:
    """What stands on a handler; an empty description where nothing does."""
    found: Description = getattr(handler, _NAME, Description())
    return found
