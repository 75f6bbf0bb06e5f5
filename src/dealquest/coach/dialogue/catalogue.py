"""The sentences of one language, from a folder of TOML files; a key that a translation lacks falls back to English."""

import tomllib
from functools import cache, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import attrs

from .text import Text, fill

FALLBACK = "en"


@attrs.frozen
class Catalogue:
    """Templates by dotted key."""

    language: str
    templates: dict[str, str] = attrs.field(repr=False)

    def say(self, key: str, /, **values: Text | str | float) -> Text:
        """The sentence of a key, with its values filled in as plain text.

        Raises:
            KeyError: When neither this language nor English has the key, or a value is missing.
        """
        return fill(self.templates[key], values)

    def label(self, key: str, /, **values: str | int) -> str:
        """A button's label: the same, without styles."""
        return self.say(key, **values).plain


@lru_cache(maxsize=64)  # a tag comes from the channel, so there may be any number
def catalogue(language: str) -> Catalogue:
    """The catalogue for a language tag such as `de` or `de-AT`; English where there is none."""
    name = language.split("-", maxsplit=1)[0].casefold()
    if name == FALLBACK or not name.isalpha() or not _folder(name).is_dir():
        return Catalogue(FALLBACK, _templates(FALLBACK))
    return Catalogue(name, {**_templates(FALLBACK), **_templates(name)})


def languages() -> dict[str, str]:
    """Every language there is a catalogue for, by its tag: what its speakers call it."""
    return {tag: catalogue(tag).templates["language.name"] for tag in _tags()}


@cache
def _tags() -> tuple[str, ...]:
    folders = (resources.files("dealquest.coach") / "texts").iterdir()
    return tuple(sorted(folder.name for folder in folders if folder.is_dir() and folder.name.isalpha()))


def _folder(language: str) -> Traversable:
    return resources.files("dealquest.coach") / "texts" / language


@cache
def _templates(language: str) -> dict[str, str]:
    templates: dict[str, str] = {}
    for file in _folder(language).iterdir():
        if file.name.endswith(".toml"):
            templates |= _flat(tomllib.loads(file.read_text("utf-8")))
    return templates


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in table.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value.strip("\n")
    return flat
