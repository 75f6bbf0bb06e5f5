"""Load a suite: from scenario packs, JSONL, CSV, data frames or plain rows; every fault is named at once.

Nothing is guessed: a row without an id or an input is a fault, not a case left out.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import msgspec

from dealquest.coach import Pack, Scenario, builtin_packs, load_pack
from dealquest.errors import InputError, NotFoundError
from dealquest.values import Json

from .cases import Case, Suite

_OWN = ("id", "input", "reference", "cluster", "scenario", "answer")
_SHOWN_FAULTS = 12
_LANGUAGE = "en"


@runtime_checkable
class Frame(Protocol):
    """A data frame, pandas' or polars', of which only the columns' names and the rows are needed."""

    @property
    def columns(self) -> Iterable[str]: ...


Row: TypeAlias = Mapping[str, Any]
Source: TypeAlias = str | Path | Suite | Pack | Sequence[Case] | Sequence[Row] | Frame


def load(source: Source, *, name: str = "", columns: Mapping[str, str] | None = None, pack: str | Path | Pack | None = None) -> Suite:
    """Load a suite.

    Args:
        source: A built-in pack's language, a track's or practice category's id in it (`foundations`), the path of a
            scenario file or folder, of a `.jsonl` or `.csv` file, a data frame, rows as mappings, cases, or a suite.
        name: What to call the suite; taken from the source when left out.
        columns: Field of `Case` → the name of its column, where they differ. Columns that are no field become tags.
        pack: Where the scenarios stand that a column `scenario` names.

    Raises:
        NotFoundError: `evals.suite.unknown`: nothing of that name.
        InputError: `evals.suite.columns`, `evals.suite.invalid`, `evals.suite.duplicate`, `evals.suite.empty`; for packs
            also `coach.pack.*`.
    """
    if isinstance(source, Suite):
        return source
    if isinstance(source, Pack):
        return _suite(name or source.name, [case_of(scenario) for scenario in source.scenarios], source.name)
    if isinstance(source, str | Path):
        return _load_named(source, name, columns or {}, pack)
    if isinstance(source, Frame):
        return _read_rows(_frame_rows(source), name or "data frame", columns or {}, pack, first=0)
    rows = list(source)
    if rows and all(isinstance(row, Case) for row in rows):
        return _suite(name or "cases", [row for row in rows if isinstance(row, Case)], "")
    checked = [row if isinstance(row, Mapping) else f"a mapping is wanted, this is {type(row).__name__}" for row in rows]
    return _read_rows(checked, name or "rows", columns or {}, pack, first=0)


def anchors(source: str | Path | Pack | Suite = _LANGUAGE) -> Suite:
    """The three anchor answers of each scenario as cases with recorded answers and agreed points: they check a judge."""
    suite = load(source)
    scenarios = [case.scenario for case in suite if case.scenario is not None]
    cases = [anchor for scenario in scenarios for anchor in anchors_of(scenario)]
    return _suite(f"{suite.name} anchors", cases, suite.source, suite.pack)


def anchors_of(scenario: Scenario) -> list[Case]:
    """Weak, fair and strong answer of one scenario."""
    named = zip(("weak", "fair", "strong"), scenario.anchors, strict=True)
    return [
        Case(
            id=f"{scenario.id}.{level}",
            input=show_scenario(scenario),
            reference=anchor.points,
            cluster=scenario.id,
            scenario=scenario,
            answer=anchor.text,
            tags={"anchor": level},
        )
        for level, anchor in named
    ]


def case_of(scenario: Scenario) -> Case:
    """A scenario as a case: what a seller may see of it, and its model answer."""
    tags: dict[str, Json] = {
        "category": scenario.category,
        "difficulty": scenario.difficulty,
        "channel": scenario.channel,
        "language": scenario.language,
    }
    return Case(id=scenario.id, input=show_scenario(scenario), reference=scenario.ideal, cluster=scenario.id, scenario=scenario, tags=tags)


def show_scenario(scenario: Scenario) -> str:
    """A scenario as the seller meets it: hidden facts and dealbreakers stay hidden."""
    persona = scenario.persona
    return "\n\n".join(
        [
            f"{persona.name}, {persona.role}, {persona.company}. {persona.background} {persona.context}".rstrip(),
            scenario.situation,
            f"{persona.name}: “{scenario.opening}”",
            f"Answer by {scenario.channel}, at most {scenario.max_words} words.",
        ]
    )


def _load_named(source: str | Path, name: str, columns: Mapping[str, str], pack: str | Path | Pack | None) -> Suite:
    path = Path(source)
    suffix = path.suffix.lower()
    if suffix in {".jsonl", ".ndjson"}:
        return _read_rows(_read_jsonl(path), name or path.stem, columns, pack, first=1, source=str(source))
    if suffix == ".csv":
        return _read_rows(_read_csv(path), name or path.stem, columns, pack, first=2, source=str(source))
    if str(source) in builtin_packs() or path.exists():
        found = load_pack(source)
        return _suite(name or found.name, [case_of(scenario) for scenario in found.scenarios], str(source), str(source))
    built_in = load_pack(_LANGUAGE)
    tracks = {track.id: [level.scenario for level in track.levels] for track in built_in.tracks}
    parts = tracks | {category: [s for s in built_in.practice if s.category == category] for category in built_in.categories}
    if str(source) not in parts:
        known = ", ".join((*builtin_packs(), *parts))
        raise NotFoundError(
            f"no suite {str(source)[:80]!r}: give a path (.toml, .jsonl, .csv or a folder of packs), or one of {known}",
            code="evals.suite.unknown",
        )
    return _suite(name or str(source), [case_of(scenario) for scenario in parts[str(source)]], str(source), _LANGUAGE)


def _suite(name: str, cases: Sequence[Case], source: str, pack: str = "") -> Suite:
    if not cases:
        raise InputError(f"the suite {name!r} holds no case", code="evals.suite.empty")
    return Suite(name=name, cases=tuple(cases), source=source, pack=pack)


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")  # line breaks inside cells stay what they are
    except FileNotFoundError as exc:
        raise NotFoundError(f"no suite at {str(path)!r}: check the path", code="evals.suite.unknown") from exc
    except UnicodeDecodeError as exc:
        raise InputError(f"{path.name} is not text in UTF-8 (byte {exc.start}): save it as UTF-8", code="evals.suite.invalid") from exc
    except OSError as exc:
        raise InputError(f"{path.name} cannot be read: {exc.strerror}", code="evals.suite.invalid") from exc


def _read_jsonl(path: Path) -> list[Row | str]:
    """Rows, or in their place what is wrong with the line; empty lines keep their place and are passed over later."""
    rows: list[Row | str] = []
    for line in _read_text(path).split("\n"):
        if not line.strip():
            rows.append("")
            continue
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as exc:
            rows.append(f"no JSON ({exc})")
            continue
        rows.append(row if isinstance(row, dict) else f"a JSON object is wanted, this is {type(row).__name__}")
    return rows


def _read_csv(path: Path) -> list[Row | str]:
    reader = csv.reader(io.StringIO(_read_text(path), newline=""))
    rows: list[Row | str] = []
    try:
        head = next(reader, [])
        for cells in reader:
            if cells and len(cells) != len(head):
                rows.append(f"{len(cells)} cells under {len(head)} columns")
            else:
                rows.append({name: cell or None for name, cell in zip(head, cells, strict=True)} if cells else "")
    except csv.Error as exc:
        raise InputError(f"{path.name} is no CSV: {exc}", code="evals.suite.invalid") from exc
    return rows


def _frame_rows(frame: Any) -> list[Row | str]:
    # polars has `to_dicts`, pandas `to_dict`; a missing number is NaN there and nothing here.
    rows: list[Row] = frame.to_dicts() if hasattr(frame, "to_dicts") else frame.to_dict(orient="records")
    return [{str(name): _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    if value is None or value != value:  # noqa: PLR0124  # NaN is the one value that is not itself
        return None
    return value.item() if hasattr(value, "item") else value


def _read_rows(
    rows: Sequence[Row | str],
    name: str,
    columns: Mapping[str, str],
    pack: str | Path | Pack | None,
    *,
    first: int,
    source: str = "",
) -> Suite:
    """Cases from rows; a text in a row's place is a fault of that row.

    Args:
        rows: As the readers above give them.
        name: Of the suite.
        columns: Field → column.
        pack: For the column `scenario`.
        first: The number of the first row, as a person counts them in the source.
        source: For the record.
    """
    names = {field: columns.get(field, field) for field in _OWN}
    present = {column for row in rows if isinstance(row, Mapping) for column in row}
    missing = [names[field] for field in ("id", "input") if names[field] not in present] + [
        column for column in columns.values() if column not in present and column not in {names["id"], names["input"]}
    ]
    if missing and present:
        raise InputError(
            f"the suite {name!r} has no column {', '.join(map(repr, missing))}; it has {', '.join(sorted(present))}. "
            "Name yours with columns={'id': '...', 'input': '...'}",
            code="evals.suite.columns",
        )
    scenarios = _scenarios(pack) if names["scenario"] in present else {}
    cases: list[Case] = []
    faults: list[str] = []
    for number, row in enumerate(rows, first):
        read = row if isinstance(row, str) else _read_case(row, names, scenarios)
        if isinstance(read, Case):
            cases.append(read)
        elif read:
            faults.append(f"row {number}: {read}")
    if faults:
        shown = "\n".join(faults[:_SHOWN_FAULTS])
        more = f"\n… and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        raise InputError(f"the suite {name!r} has {len(faults)} faults, mend them first:\n{shown}{more}", code="evals.suite.invalid")
    named_pack = "" if isinstance(pack, Pack) else str(pack or _LANGUAGE)
    return _suite(name, cases, source, named_pack if scenarios else "")


def _scenarios(pack: str | Path | Pack | None) -> Mapping[str, Scenario]:
    found = pack if isinstance(pack, Pack) else load_pack(_LANGUAGE if pack is None else pack)
    return {scenario.id: scenario for scenario in found.scenarios}


def _read_case(row: Row, names: Mapping[str, str], scenarios: Mapping[str, Scenario]) -> Case | str:
    """A case, or what is wrong with the row."""
    found = {field: row.get(column) for field, column in names.items()}
    case_id, text = found["id"], found["input"]
    if case_id is None or not str(case_id).strip():
        return f"no {names['id']}"
    if not isinstance(text, str) or not text.strip():
        return f"no {names['input']} (id {str(case_id)[:40]!r})"
    scenario = None
    if found["scenario"] is not None:
        scenario = scenarios.get(str(found["scenario"]))
        if scenario is None:
            return f"no scenario {str(found['scenario'])[:40]!r} in the pack"
    cluster = found["cluster"] if found["cluster"] is not None else scenario.id if scenario is not None else case_id
    tags = {name: value for name, value in row.items() if name not in names.values() and value is not None}
    return Case(
        id=str(case_id),
        input=text,
        reference=found["reference"],
        cluster=str(cluster),
        scenario=scenario,
        answer=str(found["answer"] or ""),
        tags=tags,
    )
