"""Answers as objects: an attrs class out as JSON Schema, a validated object back. Pure.

Providers take a strict subset: every object closed, every property required, no numeric or length
limits. Those limits are still checked here, after the answer, by the class itself.
Source: openrouter.ai/docs structured outputs; platform.openai.com structured outputs, read 2026-11-22.
"""

import re
from functools import lru_cache
from typing import Any, TypeVar

import attrs
import msgspec

from dealquest.errors import InputError
from dealquest.values import JsonObject

from .messages import Schema, Tool

T = TypeVar("T")

_KEPT = {"type", "properties", "required", "items", "enum", "const", "anyOf", "$ref", "$defs", "description", "title", "prefixItems"}
_FENCE = re.compile(r"\A\s*```(?:json)?\s*(.*?)\s*```\s*\Z", re.DOTALL)
_RAW_KEPT = 2_000


@lru_cache(maxsize=256)
def describe_class(cls: type) -> JsonObject:
    """The strict JSON Schema of an attrs class.

    Raises:
        InputError: `llm.schema.unsupported` when the class cannot be expressed.
    """
    if not attrs.has(cls):
        raise InputError("Structured output wants an attrs class.", code="llm.schema.unsupported")
    try:
        (schema,), components = msgspec.json.schema_components([cls], ref_template="#/$defs/{name}")
    except TypeError as exc:
        raise InputError(f"{cls.__name__} cannot be expressed as JSON Schema; use plain types.", code="llm.schema.unsupported") from exc
    definitions = {name: _tighten(part) for name, part in components.items()}
    # The root must be an object, not a reference to one.
    root = definitions.pop(schema["$ref"].rsplit("/", 1)[-1]) if "$ref" in schema else _tighten(schema)
    if re.search(rf'"\$ref":\s*"#/\$defs/{re.escape(cls.__name__)}"', msgspec.json.encode([root, definitions]).decode()):
        raise InputError(f"{cls.__name__} contains itself; strict output cannot express that.", code="llm.schema.unsupported")
    return {**root, "$defs": definitions} if definitions else root


def describe_tool(tool: Tool) -> JsonObject:
    """The JSON Schema of a tool's arguments.

    Raises:
        InputError: `llm.schema.unsupported`.
    """
    return describe_class(tool.arguments) if isinstance(tool.arguments, type) else tool.arguments


def _tighten(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_tighten(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "object" and "properties" not in schema:
        raise InputError(
            "A mapping with free keys cannot be expressed strictly; use a list of attrs objects.", code="llm.schema.unsupported"
        )
    if not schema:
        raise InputError("A field without a type cannot be expressed; annotate it.", code="llm.schema.unsupported")
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {name: _tighten(part) for name, part in value.items()}
        elif key in {"items", "anyOf", "prefixItems"} and value is not False:
            kept[key] = _tighten(value)
        elif key in _KEPT:
            kept[key] = value
    if kept.get("type") == "object":
        kept["required"] = list(kept["properties"])
        kept["additionalProperties"] = False
    return kept


def schema_of(cls: type) -> Schema:
    """What to ask of the model for an object of this class."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", getattr(cls, "__name__", ""))[:64] or "answer"
    return Schema(name=name, schema=describe_class(cls))


def read_object(text: str, cls: type[T]) -> T | str:
    """An object of the class, or in one line what is wrong with the text.

    >>> import attrs
    >>> @attrs.frozen
    ... class Score:
    ...     points: int
    >>> read_object('{"points": 7}', Score).points, read_object('{"points": "x"}', Score)
    (7, 'Expected `int`, got `str` - at `$.points`')
    """
    fenced = _FENCE.match(text)
    try:
        return msgspec.json.decode(fenced.group(1) if fenced else text, type=cls)
    except msgspec.ValidationError as exc:
        return str(exc)
    except msgspec.DecodeError as exc:
        return f"not JSON: {exc}"
    except (TypeError, ValueError) as exc:
        # A validator of the class itself.
        return str(exc)


def repair_request(text: str, problem: str) -> str:
    """What to tell the model when its object does not fit."""
    return (
        f"Your answer does not fit the required JSON Schema: {problem}. "
        f"It began with: {text[:_RAW_KEPT]}\nAnswer again with the corrected JSON object alone."
    )
