"""Turn the tables of scenario files into a pack, and name every fault with its place.

No file is opened here. The schema is described in docs/scenario-format.md.
"""

import re
import tomllib
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import attrs

from .pack import (
    Anchor,
    Anchors,
    Area,
    Channel,
    Criterion,
    Lesson,
    Level,
    Lexicon,
    Pack,
    Persona,
    Scenario,
    Seniority,
    Signal,
    SignalKind,
    Track,
)
from .toml_lines import find_lines

FORMAT = 1
MAX_FILE_CHARS = 1_000_000

_T = TypeVar("_T")
_ID = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")
_PHRASE = re.compile(r"(?:[^\W_]+(?:'[^\W_]+)*\*?|\.\.)(?: (?:[^\W_]+(?:'[^\W_]+)*\*?|\.\.))*")
_SIGNAL_KEYS: Mapping[str, frozenset[str]] = {
    "says": frozenset({"any", "least", "within", "label", "points"}),
    "question": frozenset({"any", "least", "open", "within", "label", "points"}),
    "question_first": frozenset({"label", "points"}),
    "number": frozenset({"any", "new", "label", "points"}),
    "next_step": frozenset({"any", "label", "points"}),
    "echo": frozenset({"least", "label", "points"}),
    "avoid": frozenset({"any", "unless", "within", "label", "penalty"}),
    "words": frozenset({"least", "most", "label", "penalty"}),
    "question_limit": frozenset({"most", "label", "penalty"}),
}


@attrs.frozen
class Fault:
    """What is wrong in a scenario file, and where.

    Attributes:
        file: The file's name; empty for a text without one.
        line: Counted from 1; 0 where no line can be named.
        path: Such as `tracks[0].levels[1].scenario.rubric[2].weight`; empty for the whole file.
        message: What is wrong and what is expected.
    """

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        """One line for a terminal."""
        where = ":".join(part for part in (self.file, str(self.line) if self.line else "") if part)
        return ": ".join(part for part in (where, self.path, self.message) if part)


def read_pack(texts: Mapping[str, str], *, name: str, common: Mapping[str, Any]) -> tuple[Pack, list[Fault]]:
    """Read the files of one pack.

    Args:
        texts: File name → TOML text, in reading order.
        name: The pack's name.
        common: Tables `phrases`, `criteria` and `wording` that every pack of the language may use.

    Returns:
        The pack, whole only where the list of faults is empty, and the faults in file order.
    """
    documents: list[tuple[_Table, Mapping[str, int]]] = []
    faults: list[Fault] = []
    for file, text in texts.items():
        table, lines, broken = _parse(file, text)
        faults += broken
        if table is not None:
            documents.append((table, lines))
    reader = _PackReader(common)
    for table, _ in documents:
        reader.collect(table)
    for table, _ in documents:
        reader.read(table)
    reader.check_not_empty([table for table, _ in documents])
    for table, lines in documents:
        faults += sorted(
            (Fault(table.file, _line_of(path, lines), path, message) for path, message in table.faults), key=lambda fault: fault.line
        )
    return Pack(name=name, language=reader.language, tracks=tuple(reader.tracks), practice=tuple(reader.practice)), faults


def _parse(file: str, text: str) -> tuple["_Table | None", Mapping[str, int], list[Fault]]:
    if len(text) > MAX_FILE_CHARS:
        return None, {}, [Fault(file, 0, "", f"the file has {len(text)} characters; at most {MAX_FILE_CHARS} are read: split it")]
    try:
        data = tomllib.loads(text)
        lines = find_lines(text)
    except tomllib.TOMLDecodeError as exc:
        line = re.search(r"at line (\d+)", str(exc))
        return None, {}, [Fault(file, int(line.group(1)) if line else text.count("\n") + 1, "", f"not valid TOML: {exc}")]
    except RecursionError:
        return None, {}, [Fault(file, 0, "", "not valid TOML: nested too deeply")]
    return _Table(data=data, path="", file=file, faults=[]), lines, []


def _line_of(path: str, lines: Mapping[str, int]) -> int:
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path, 1)


@attrs.define(kw_only=True)
class _Table:
    """One table of a file: each getter reports what is missing or wrong and returns something usable."""

    data: Mapping[str, Any]
    path: str
    file: str
    faults: list[tuple[str, str]]
    known: set[str] = attrs.field(factory=set)

    def place(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def fault(self, key: str, message: str) -> None:
        self.faults.append((self.place(key) if key else self.path, message))

    def get(self, key: str, kind: type[_T], article: str, default: _T | None = None) -> _T | None:
        self.known.add(key)
        if key not in self.data:
            if default is None:
                self.fault(key, f"missing; expected {article}")
            return default
        value = self.data[key]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            self.fault(key, f"expected {article}, found {_name_of(value)}")
            return default
        return value

    def text(self, key: str, *, most: int, default: str | None = None) -> str:
        value = self.get(key, str, "a text", default)
        if value is None:
            return ""
        if not value.strip() and default is None:
            self.fault(key, "the text is empty")
        if len(value) > most:
            self.fault(key, f"the text has {len(value)} characters; at most {most} are allowed")
        return value.strip()

    def number(self, key: str, *, least: int, most: int, default: int | None = None) -> int:
        value = self.get(key, int, f"a whole number from {least} to {most}", default)
        if value is None:
            return least
        if not least <= value <= most and value != default:
            self.fault(key, f"{value} is outside {least} to {most}")
        return value

    def flag(self, key: str) -> bool:
        return bool(self.get(key, bool, "true or false", default=False))

    def identifier(self, key: str = "id") -> str:
        value = self.text(key, most=32)
        if value and not _ID.fullmatch(value):
            self.fault(key, f"{value!r} is not an id: use a to z, 0 to 9, '_', '.', '-', beginning with a letter or a digit")
        return value

    def choice(self, key: str, options: tuple[str, ...]) -> Any:
        value = self.text(key, most=32)
        if value not in options:
            if value:
                self.fault(key, f"{value!r} is not known; one of: {', '.join(options)}")
            return options[0]
        return value

    def texts(self, key: str, *, least: int, most: int) -> tuple[str, ...]:
        values: list[Any] = self.get(key, list, "a list of texts", [] if least == 0 else None) or []
        good = []
        for index, value in enumerate(values):
            if not isinstance(value, str) or not value.strip():
                self.fault(f"{key}[{index}]", f"expected a text, found {_name_of(value)}")
            elif len(value) > most:
                self.fault(f"{key}[{index}]", f"the text has {len(value)} characters; at most {most} are allowed")
            else:
                good.append(value.strip())
        if key in self.data and len(values) < least:
            self.fault(key, f"at least {least} needed, found {len(values)}")
        return tuple(good)

    def table(self, key: str, default: Mapping[str, Any] | None = None) -> "_Table":
        value: Any = self.get(key, dict, "a table", default)
        return self.child(key, value or {})

    def tables(self, key: str, *, least: int) -> list["_Table"]:
        values: list[Any] = self.get(key, list, "a list of tables", [] if least == 0 else None) or []
        if key in self.data and len(values) < least:
            self.fault(key, f"at least {least} needed, found {len(values)}")
        tables = []
        for index, value in enumerate(values):
            if isinstance(value, dict):
                tables.append(self.child(f"{key}[{index}]", value))
            else:
                self.fault(f"{key}[{index}]", f"expected a table, found {_name_of(value)}")
        return tables

    def child(self, key: str, data: Mapping[str, Any]) -> "_Table":
        return _Table(data=data, path=self.place(key), file=self.file, faults=self.faults)

    def finish(self) -> None:
        for key in self.data.keys() - self.known:
            self.fault(key, f"unknown key; known here: {', '.join(sorted(self.known))}")


def _name_of(value: object) -> str:
    names = {str: "a text", bool: "true or false", int: "a whole number", float: "a decimal number", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")


class _PackReader:
    """Reads the documents of one pack; ids are unique over all of them."""

    def __init__(self, common: Mapping[str, Any]) -> None:
        self.phrases: dict[str, tuple[str, ...]] = {key: tuple(value) for key, value in common["phrases"].items()}
        self.criteria: dict[str, Mapping[str, Any]] = dict(common["criteria"])
        self.lexicon = Lexicon(language=common["language"], phrases=self.phrases, wording=common["wording"])
        self.language: str = common["language"]
        self.ids: dict[str, dict[str, str]] = {}
        self.tracks: list[Track] = []
        self.practice: list[Scenario] = []

    def collect(self, document: _Table) -> None:
        """Take the shared phrases and criteria first: a file may use those of its neighbours."""
        groups = document.table("phrases", {})
        for key in groups.data:
            self.phrases[key] = tuple(phrase for phrase in groups.texts(key, least=1, most=80) if self.is_phrase(phrase, groups, key))
        criteria = document.table("criteria", {})
        for key in criteria.data:
            self.criteria[key] = criteria.table(key).data

    def read(self, document: _Table) -> None:
        document.number("format", least=FORMAT, most=FORMAT)
        language = document.text("language", most=16)
        if language and language != self.language:
            document.fault(
                "language", f"{language!r} differs from {self.language!r}; a pack has one language, and its common words must exist"
            )
        self.tracks += [self.track(table) for table in document.tables("tracks", least=0)]
        self.practice += [self.scenario(table) for table in document.tables("scenarios", least=0)]
        document.finish()

    def check_not_empty(self, documents: list[_Table]) -> None:
        if documents and not self.tracks and not self.practice and not any(document.faults for document in documents):
            documents[0].fault("", "the pack holds no [[tracks]] and no [[scenarios]]")

    def unique(self, table: _Table, family: str, value: str, key: str = "id") -> None:
        seen = self.ids.setdefault(family, {})
        if value in seen:
            table.fault(key, f"{value!r} is already the id of {seen[value]}")
        elif value:
            seen[value] = table.path

    def track(self, table: _Table) -> Track:
        track_id = table.identifier()
        self.unique(table, "track", track_id)
        track = Track(
            id=track_id,
            name=table.text("name", most=60),
            description=table.text("description", most=600),
            levels=tuple(self.level(child, track_id) for child in table.tables("levels", least=1)),
        )
        table.finish()
        return track

    def level(self, table: _Table, track_id: str) -> Level:
        level_id = table.identifier()
        self.unique(table, "level", level_id)
        lesson = table.table("lesson")
        level = Level(
            id=level_id,
            name=table.text("name", most=60),
            lesson=Lesson(
                title=lesson.text("title", most=100),
                content=lesson.text("content", most=3500),
                key_points=lesson.texts("key_points", least=2, most=200),
            ),
            scenario=self.scenario(table.table("scenario"), category=track_id),
        )
        lesson.finish()
        table.finish()
        return level

    def scenario(self, table: _Table, category: str | None = None) -> Scenario:
        scenario_id = table.identifier()
        self.unique(table, "scenario", scenario_id)
        scenario = Scenario(
            id=scenario_id,
            title=table.text("title", most=80),
            category=table.identifier("category") if category is None else category,
            difficulty=table.number("difficulty", least=1, most=3),
            channel=table.choice("channel", get_args(Channel)),
            persona=self.persona(table.table("persona")),
            situation=table.text("situation", most=1500),
            opening=table.text("opening", most=800),
            max_words=table.number("max_words", least=20, most=400),
            rubric=self.rubric(table),
            ideal=table.text("ideal", most=2500),
            mistakes=table.texts("mistakes", least=1, most=300),
            anchors=self.anchors(table.table("anchors")),
            lexicon=self.lexicon,
            time_limit_s=table.number("time_limit_s", least=10, most=1800, default=0),
        )
        table.finish()
        return scenario

    def persona(self, table: _Table) -> Persona:
        persona = Persona(
            name=table.text("name", most=60),
            role=table.text("role", most=80),
            company=table.text("company", most=120),
            seniority=table.choice("seniority", get_args(Seniority)),
            temper=table.text("temper", most=80),
            background=table.text("background", most=600),
            context=table.text("context", most=600, default=""),
            hidden_facts=table.texts("hidden_facts", least=1, most=300),
            dealbreakers=table.texts("dealbreakers", least=1, most=300),
        )
        table.finish()
        return persona

    def anchors(self, table: _Table) -> Anchors:
        found = {key: self.anchor(table.table(key)) for key in ("weak", "fair", "strong")}
        anchors = Anchors(weak=found["weak"], fair=found["fair"], strong=found["strong"])
        if found.keys() <= table.data.keys() and not anchors.weak.points < anchors.fair.points < anchors.strong.points:
            points = ", ".join(f"{key} {anchor.points}" for key, anchor in found.items())
            table.fault("", f"the points must rise from weak to strong, found {points}")
        table.finish()
        return anchors

    def anchor(self, table: _Table) -> Anchor:
        anchor = Anchor(table.number("points", least=0, most=100), table.text("text", most=2500))
        table.finish()
        return anchor

    def rubric(self, table: _Table) -> tuple[Criterion, ...]:
        children = table.tables("rubric", least=2)
        rubric = tuple(self.criterion(child) for child in children)
        for index, criterion in enumerate(rubric):
            if criterion.id and any(other.id == criterion.id for other in rubric[:index]):
                table.fault(f"rubric[{index}].id", f"{criterion.id!r} is already the id of another criterion of this rubric")
        total = sum(criterion.weight for criterion in rubric)
        if rubric and total != 100 and all(isinstance(child.data.get("weight"), int) for child in children):
            table.fault(f"rubric[{len(rubric) - 1}].weight", f"the weights of the rubric sum to {total}, not to 100")
        return rubric

    def criterion(self, table: _Table) -> Criterion:
        """Read a criterion; with `like` it starts as a shared one, and its own keys win."""
        like = table.text("like", most=32, default="")
        identifier = table.identifier() if "id" in table.data or not like else like
        table.known.add("id")
        if like and like not in self.criteria:
            table.fault("like", f"no shared criterion {like!r}; known: {', '.join(sorted(self.criteria))}")
        merged = attrs.evolve(table, data={**self.criteria.get(like, {}), **table.data}, known={*table.known})
        if like and like not in self.criteria:  # one fault says it; the missing keys follow from it
            merged = attrs.evolve(merged, faults=[])
        signals = tuple(self.signal(child) for child in merged.tables("signals", least=1))
        criterion = Criterion(
            id=identifier,
            name=merged.text("name", most=60),
            area=merged.choice("area", get_args(Area)),
            weight=merged.number("weight", least=1, most=100),
            description=merged.text("description", most=500),
            suggestion=merged.text("suggestion", most=400),
            need=merged.number("need", least=1, most=100, default=0),
            signals=signals,
        )
        available = sum(signal.points for signal in signals if not signal.is_guard)
        if criterion.need > available:
            merged.fault("need", f"{criterion.need} points are needed, but the signals give {available}")
        merged.finish()
        return criterion

    def signal(self, table: _Table) -> Signal:
        kind: SignalKind = table.choice("kind", get_args(SignalKind))
        allowed = _SIGNAL_KEYS[kind]
        names_phrases = "any" in allowed and ("any" in table.data or kind in {"says", "avoid"})
        names_most = kind in {"words", "question_limit"}
        label = table.text("label", most=120, default="") or self.lexicon.wording.get(f"label_{kind}", "")
        if kind in {"says", "avoid"} and not label:
            table.fault("label", "missing; say in a few words what is looked for")
        signal = Signal(
            kind=kind,
            label=label,
            phrases=self.expand(table, "any") if names_phrases else (),
            least=table.number("least", least=1, most=400, default=1) if "least" in allowed else 1,
            most=table.number("most", least=1, most=400, default=0 if kind == "words" else None) if names_most else 0,
            within=table.number("within", least=1, most=20, default=0) if "within" in allowed else 0,
            open=table.flag("open") if "open" in allowed else False,
            new=table.flag("new") if "new" in allowed else False,
            unless=self.expand(table, "unless") if "unless" in table.data and "unless" in allowed else (),
            points=table.number("points", least=1, most=100, default=1) if "points" in allowed else 1,
            penalty=table.number("penalty", least=1, most=100, default=100) if "penalty" in allowed else 100,
        )
        table.finish()
        return signal

    def expand(self, table: _Table, key: str) -> tuple[str, ...]:
        """Replace `@group` by the phrases of the group."""
        phrases: list[str] = []
        for phrase in table.texts(key, least=1, most=80):
            if not phrase.startswith("@"):
                phrases += [phrase] if self.is_phrase(phrase, table, key) else []
            elif phrase[1:] in self.phrases:
                phrases += self.phrases[phrase[1:]]
            else:
                table.fault(key, f"no group of phrases {phrase!r}; known: {', '.join('@' + group for group in sorted(self.phrases))}")
        return tuple(dict.fromkeys(phrases))

    @staticmethod
    def is_phrase(phrase: str, table: _Table, key: str) -> bool:
        """Whether a phrase can ever match: the words of an answer are lower case and without punctuation."""
        if phrase == phrase.casefold() and _PHRASE.fullmatch(phrase) and not phrase.startswith("..") and not phrase.endswith(".."):
            return True
        table.fault(key, f"{phrase[:40]!r} cannot match: use lower-case words separated by single spaces, `word*`, and `..` between words")
        return False
