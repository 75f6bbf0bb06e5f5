"""Request headers → preferences, media types, range and schema.

Source: RFC 7240 (Prefer), RFC 9110 (Accept, Range); https://docs.postgrest.org/en/latest/references/api/preferences.html,
resource_representation.html, pagination_count.html and schemas.html, read 2026-11-22.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import attrs

from dealquest.storage.postgrest.ast import Media, Prefer, Range

from .errors import refuse

ANY_MEDIA = Media("*/*")

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}\Z")
_RANGE = re.compile(r"(?:items=)?([0-9]{1,18})-([0-9]{1,18})?\Z")

_CHOICES: Mapping[str, tuple[str, frozenset[str]]] = {
    "return": ("returning", frozenset({"minimal", "headers-only", "representation"})),
    "count": ("count", frozenset({"exact", "planned", "estimated"})),
    "missing": ("missing", frozenset({"default", "null"})),
    "handling": ("handling", frozenset({"strict", "lenient"})),
    "tx": ("tx", frozenset({"commit", "rollback"})),
}
_RESOLUTIONS = frozenset({"merge-duplicates", "ignore-duplicates"})


@attrs.frozen
class Preferences:
    """The `Prefer` header and the resolution that it may hold."""

    prefer: Prefer
    resolution: str | None = None


def parse_prefer(values: Sequence[str]) -> Preferences:
    """Read every `Prefer` header; the first value of a preference counts.

    >>> parse_prefer(["return=minimal, count=exact"]).prefer.count
    'exact'
    """
    found: dict[str, Any] = {}
    unknown: list[str] = []
    resolution = None
    for item in (part.strip() for value in values for part in value.split(",")):
        name, equals, value = item.partition("=")
        if not item:
            continue
        if name in _CHOICES and value in _CHOICES[name][1]:
            found.setdefault(_CHOICES[name][0], value)
        elif name == "resolution" and value in _RESOLUTIONS:
            resolution = resolution or value
        elif name == "timezone" and equals:
            found.setdefault("timezone", value)
        elif name == "max-affected" and equals:
            # A preference that PostgREST knows, whatever its value: one that is no number limits nothing.
            found.setdefault("max_affected", int(value) if _WHOLE_NUMBER.match(value) else None)
        else:
            unknown.append(item)
    return Preferences(Prefer(**found, unknown=tuple(unknown)), resolution)


def parse_accept(value: str | None) -> tuple[Media, ...]:
    """Media types by falling weight; of equal weights those that say most first, and then in the order sent.

    >>> [media.name for media in parse_accept("text/csv;q=0.5, */*, application/json")]
    ['application/json', '*/*', 'text/csv']
    """
    if not value or not value.strip():
        return (ANY_MEDIA,)
    weighted: list[tuple[float, int, Media]] = []
    for item in _split_quoted(value, ","):
        media, weight = _parse_media(item)
        if media.name:
            weighted.append((-weight, media.name.count("*") - len(media.params), media))
    return tuple(media for _, _, media in sorted(weighted, key=lambda entry: entry[:2])) or (ANY_MEDIA,)


@lru_cache(maxsize=128)
def parse_media(value: str) -> Media:
    """One media type, such as a `Content-Type`; a program says the same one again and again."""
    return _parse_media(value)[0]


def _parse_media(item: str) -> tuple[Media, float]:
    name, *rest = _split_quoted(item, ";")
    weight, params = 1.0, []
    for part in rest:
        key, _, raw = part.partition("=")
        key, raw = key.strip().lower(), raw.strip().strip('"')
        if key == "q":
            try:
                weight = float(raw)
            except ValueError:
                weight = 1.0
        elif key and not (key == "charset" and raw.lower() == "utf-8"):
            params.append((key, raw))
    return Media(name.strip().lower(), tuple(params)), weight


def _split_quoted(text: str, separator: str) -> list[str]:
    """Split outside double quotes."""
    if '"' not in text:
        return text.split(separator)
    parts, quoted = [""], False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == separator and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def parse_range(value: str | None) -> Range | None:
    """The rows that `Range` asks for; anything else in it is ignored.

    Raises:
        InputError: PGRST103 when it ends before it begins.

    >>> parse_range("5-9"), parse_range("bytes=1-2")
    (Range(first=5, last=9), None)
    """
    found = _RANGE.match(value.strip()) if value else None
    if found is None:
        return None
    first, last = int(found[1]), int(found[2]) if found[2] else None
    if last is not None and last < first:
        raise refuse(
            "PGRST103",
            "Requested range not satisfiable",
            details="The lower boundary must be lower than or equal to the upper boundary in the Range header.",
        )
    return Range(first, last)


def pick_schema(schemas: Sequence[str], profile: str | None) -> str:
    """The schema that a profile header names; the first one without.

    Raises:
        InputError: PGRST106 when it is not exposed.
    """
    if profile is None:
        return schemas[0]
    if profile not in schemas:
        raise refuse("PGRST106", f"Invalid schema: {profile}", hint=f"Only the following schemas are exposed: {', '.join(schemas)}")
    return profile
