"""Load and check scenario packs: the built-in ones by language, yours by path.

A pack is one TOML file or a folder of them; docs/scenario-format.md describes the schema.
This file touches the disk; `pack_reader` holds the knowledge.
"""

import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from dealquest.errors import InputError, NotFoundError

from .pack import Pack, Scenario
from .pack_reader import MAX_FILE_CHARS, Fault, read_pack
from .progress import PASS_MARK
from .signals import score_by_signals
from .toml_lines import find_lines

PACKS = Path(__file__).parent / "packs"
COMMON = "common.toml"
_SHOWN_FAULTS = 12


@cache  # what ships does not change while it runs, and every turn asks
def builtin_packs() -> tuple[str, ...]:
    """The languages that have a built-in pack, sorted."""
    return tuple(sorted(folder.name for folder in PACKS.iterdir() if (folder / COMMON).is_file()))


def load_pack(source: str | Path = "en") -> Pack:
    """Load a pack.

    Args:
        source: The language of a built-in pack, or the path of a TOML file or of a folder of them.

    Raises:
        NotFoundError: `coach.pack.unknown`: no such built-in pack, file or folder.
        InputError: `coach.pack.unreadable`: not text in UTF-8, or not to be opened; `coach.pack.invalid`: it has faults.
    """
    if isinstance(source, str) and source in builtin_packs():
        return _load_builtin(source)
    path = Path(source)
    texts = _read_texts(path)
    pack, faults = read_pack(texts, name=path.stem, common=_common_of(_language_of(texts)))
    if faults:
        raise _invalid(path.name, faults)
    return pack


def check_pack(text: str, *, file: str = "") -> list[Fault]:
    """Name every fault of one scenario file.

    A file that can be loaded is measured as well: where the offline scorer cannot tell the anchor answers apart, the
    signals do not see what the scenario is about, and that is a fault too.

    Args:
        text: The file's content.
        file: Its name, for the report.

    Returns:
        The faults by line; empty where the file is sound.
    """
    pack, faults = read_pack({file: text}, name=file, common=_common_of(_language_of({file: text})))
    if faults:
        return faults
    lines = find_lines(text)
    places = [
        (f"tracks[{track}].levels[{level}].scenario.anchors", found.scenario)
        for track, levels in enumerate(pack.tracks)
        for level, found in enumerate(levels.levels)
    ]
    places += [(f"scenarios[{place}].anchors", scenario) for place, scenario in enumerate(pack.practice)]
    return [Fault(file, lines.get(path, 1), path, message) for path, scenario in places for message in weigh_anchors(scenario)]


def check_file(path: Path) -> list[Fault]:
    """Name every fault of a scenario file on disk, of one that cannot be read too.

    For a folder, each of its files is checked by itself, and then the ids across them.
    """
    try:
        texts = _read_texts(path)
    except (InputError, NotFoundError) as exc:
        return [Fault(path.name, 0, "", exc.message)]
    faults = [fault for file, text in texts.items() for fault in check_pack(text, file=file)]
    if faults or len(texts) == 1:
        return faults
    return read_pack(texts, name=path.stem, common=_common_of(_language_of(texts)))[1]


def weigh_anchors(scenario: Scenario) -> list[str]:
    """Where the offline scorer cannot tell a scenario's anchor answers apart; empty where it can."""
    weak, fair, strong = (score_by_signals(scenario, anchor.text).total for anchor in scenario.anchors)
    faults = []
    if not weak < fair < strong:
        faults.append(f"the signals give weak {weak}, fair {fair}, strong {strong}; they must rise")
    if weak >= PASS_MARK:
        faults.append(f"the signals give the weak answer {weak}: at {PASS_MARK} it passes")
    if strong < PASS_MARK:
        faults.append(f"the signals give the strong answer {strong}: below {PASS_MARK} it fails")
    return faults


@lru_cache(maxsize=8)
def _load_builtin(language: str) -> Pack:
    folder = PACKS / language
    pack, faults = read_pack(_read_texts(folder), name=language, common=_common_of(language))
    if faults:
        raise _invalid(language, faults)
    return pack


def _invalid(name: str, faults: list[Fault]) -> InputError:
    shown = "\n".join(str(fault) for fault in faults[:_SHOWN_FAULTS])
    more = f"\n… and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
    return InputError(f"the scenario pack {name!r} has {len(faults)} faults, mend them first:\n{shown}{more}", code="coach.pack.invalid")


def _read_texts(path: Path) -> dict[str, str]:
    files = sorted(file for file in path.glob("*.toml") if file.name != COMMON) if path.is_dir() else [path]
    if not files or not all(file.exists() for file in files):
        raise NotFoundError(
            f"no scenario pack {str(path)!r}: give a TOML file, a folder of them, or one of {', '.join(builtin_packs())}",
            code="coach.pack.unknown",
        )
    return {file.name: _read_text(file) for file in files}


def _read_text(file: Path) -> str:
    try:
        # One byte more than is allowed is enough to see that it is too long.
        with file.open("rb") as stream:
            return stream.read(4 * MAX_FILE_CHARS + 1).decode()
    except UnicodeDecodeError as exc:
        raise InputError(f"{file.name} is not text in UTF-8 (byte {exc.start}): save it as UTF-8", code="coach.pack.unreadable") from exc
    except OSError as exc:
        raise InputError(f"{file.name} cannot be read: {exc.strerror}", code="coach.pack.unreadable") from exc


def _language_of(texts: Mapping[str, str]) -> str:
    """The language of the first readable file; English words serve where none has its own."""
    for text in texts.values():
        try:
            language = tomllib.loads(text[:MAX_FILE_CHARS]).get("language")
        except (ValueError, RecursionError):
            continue
        if language in builtin_packs():
            return str(language)
    return "en"


@lru_cache(maxsize=8)
def _common_of(language: str) -> Mapping[str, Any]:
    return tomllib.loads((PACKS / language / COMMON).read_text(encoding="utf-8"))
