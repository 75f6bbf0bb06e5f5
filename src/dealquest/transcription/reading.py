"""Read a peer's JSON, whatever it sends, with one kind of failure."""

from typing import TypeVar

import msgspec

_Shape = TypeVar("_Shape")


def read_json(body: bytes, shape: type[_Shape]) -> _Shape:
    """Read JSON of a known shape.

    Raises:
        ValueError: It is no JSON, has another shape, or is nested deeper than anything a peer means to say.

    >>> read_json(b"[1, 2]", list[int])
    [1, 2]
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except RecursionError as exc:  # also inside fields that the shape does not name
        raise ValueError("nested too deeply") from exc
