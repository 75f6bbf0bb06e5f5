"""The sentences of support and leads: the same keys and slots in both languages."""

import re
import tomllib
from pathlib import Path

import pytest

TEXTS = Path(__file__).parents[2] / "src/dealquest/coach/texts"


def sentences(language: str, name: str) -> dict[str, str]:
    tables = tomllib.loads((TEXTS / language / name).read_text("utf-8"))
    return {f"{table}.{key}": text for table, rows in tables.items() for key, text in rows.items()}


@pytest.mark.parametrize("name", ["support.toml", "leads.toml"])
def test_german_says_all_that_english_says(name: str) -> None:
    """A translation has the same keys, and each sentence the same slots."""
    english, german = sentences("en", name), sentences("de", name)
    assert german.keys() == english.keys()
    for key, text in english.items():
        assert set(re.findall(r"\{\w+\}", german[key])) == set(re.findall(r"\{\w+\}", text)), key
