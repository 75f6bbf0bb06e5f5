"""Every language says everything, with the same values in it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from dealquest.coach.dialogue import fill, languages

TEXTS = Path(__file__).parents[2] / "src/dealquest/coach/texts"
SLOT = re.compile(r"\{([a-z_]+)\}")
FILES = sorted((TEXTS / "en").glob("*.toml"))


def flat(table: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in table.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found


def texts_of(language: str, file: str) -> dict[str, str]:
    path = TEXTS / language / file
    return flat(tomllib.loads(path.read_text("utf-8"))) if path.exists() else {}


@pytest.mark.parametrize("language", sorted(languages()))
@pytest.mark.parametrize("file", [file.name for file in FILES])
def test_a_language_has_exactly_englishs_sentences(language: str, file: str) -> None:
    """Each file of English is there with the same keys, none missing and none left over, and the same placeholders."""
    english, translated = texts_of("en", file), texts_of(language, file)
    assert sorted(translated) == sorted(english)
    for key, sentence in english.items():
        assert set(SLOT.findall(translated[key])) == set(SLOT.findall(sentence)), key
        assert translated[key].strip(), key


def test_no_language_has_files_of_its_own() -> None:
    """A file that English does not have would never be looked at."""
    for language in languages():
        assert {path.name for path in (TEXTS / language).glob("*.toml")} == {file.name for file in FILES}


def test_no_key_stands_in_two_files() -> None:
    """Two flows with one key would overwrite each other."""
    keys = [key for file in FILES for key in texts_of("en", file.name)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("language", sorted(languages()))
def test_markup_closes(language: str) -> None:
    """No asterisk or back-quote of the markup is left over in what a user reads."""
    for file in FILES:
        for key, sentence in texts_of(language, file.name).items():
            shown = fill(sentence, dict.fromkeys(SLOT.findall(sentence), "x")).plain
            assert "*" not in shown, key
            assert "`" not in shown, key
