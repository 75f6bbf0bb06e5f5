"""Read one JSON object with a single meaning: no repeated names, no NaN, no infinity, no half surrogates, no abyss.

It does not check types; the callers know which they want.
Source: RFC 8259 section 4 and RFC 7493 (I-JSON), read 2026-11-22.
"""

import json
import math
import re
from collections.abc import Callable
from typing import NoReturn

from dealquest.values import Json

MAX_DEPTH = 64
"""Levels of nesting; what the interpreter itself can bear differs between its versions."""

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"')
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_object(text: str) -> dict[str, Json]:
    """Read a JSON object.

    Raises:
        ValueError: It is no object, is nested too deeply, or has two readings. The message holds nothing of the text.

    >>> parse_object('{"id": 7}')
    {'id': 7}
    """
    if is_too_deep(text):
        raise ValueError("not strict JSON")
    try:
        values = _decode(text)
        if _SURROGATE.search(text):
            json.dumps(values, ensure_ascii=False).encode()  # half a pair is no text
    except (ValueError, RecursionError) as exc:
        raise ValueError("not strict JSON") from exc
    if not isinstance(values, dict):
        raise ValueError("not an object")  # noqa: TRY004  # it is the text that is wrong
    return values


def is_too_deep(text: str) -> bool:
    """Whether a JSON text has more than `MAX_DEPTH` levels.

    >>> is_too_deep("[" * 65 + "]" * 65), is_too_deep('["' + "[" * 65 + '"]')
    (True, False)
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for sign in _TEXT.sub("", text):
        depth += (sign in "[{") - (sign in "]}")
        if depth > MAX_DEPTH:
            return True
    return False


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name appears twice")
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError("the number is too large")
    return number


_decode: Callable[[str], Json] = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite).decode
