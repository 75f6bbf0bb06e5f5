"""Turn the tables of scenario files into a pack, and name every fault with its place.

No file is opened here. The schema is described in docs/scenario-format.md.
"""

import itertools
import re
import tomllib
from collections.abc import Mapping
from typing import Any, get_args

import attrs

from .file_table import FileTable
from .pack import (
    GENERATED,
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
from .prose import split_words
from .toml_lines import find_lines

FORMAT = 1
MAX_FILE_CHARS = 1_000_000

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
        """One line for a terminal; a file's own text cannot send control codes to it."""
        where = ":".join(part for part in (self.file, str(self.line) if self.line else "") if part)
        line = ": ".join(part for part in (where, self.path, self.message) if part)
        return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


def read_pack(texts: Mapping[str, str], *, name: str, common: Mapping[str, Any]) -> tuple[Pack, list[Fault]]:
    """Read the files of one pack.

    Args:
        texts: File name → TOML text, in reading order.
        name: The pack's name.
        common: The language's common file: `phrases`, `criteria`, `wording`, `endings`.

    Returns:
        The pack, whole only where the list of faults is empty, and the faults in file order.
    """
    documents: list[tuple[FileTable, Mapping[str, int]]] = []
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


def read_scenario(data: Mapping[str, Any], lexicon: Lexicon) -> tuple[Scenario, list[Fault]]:
    """Read one scenario that a model wrote, by the same rules as a file's.

    Args:
        data: The scenario's table.
        lexicon: The words and shared criteria of its language.

    Returns:
        The scenario, whole only where the list of faults is empty, and the faults.
    """
    common = {
        "language": lexicon.language,
        "phrases": lexicon.phrases,
        "criteria": lexicon.criteria,
        "wording": lexicon.wording,
        "endings": lexicon.endings,
    }
    table = FileTable(data=data, path="", file="", faults=[])
    scenario = _PackReader(common, generated=True).scenario(table)
    return attrs.evolve(scenario, lexicon=lexicon), [Fault("", 0, path, message) for path, message in table.faults]


def _parse(file: str, text: str) -> tuple[FileTable | None, Mapping[str, int], list[Fault]]:
    if len(text) > MAX_FILE_CHARS:
        return None, {}, [Fault(file, 0, "", f"the file has {len(text)} characters; at most {MAX_FILE_CHARS} are read: split it")]
    try:
        data = tomllib.loads(text)
        lines = find_lines(text)
    except ValueError as exc:  # TOMLDecodeError, and numbers of more digits than Python reads
        line = re.search(r"at line (\d+)", str(exc))
        return None, {}, [Fault(file, int(line.group(1)) if line else text.count("\n") + 1, "", f"not valid TOML: {exc}")]
    except RecursionError:
        return None, {}, [Fault(file, 0, "", "not valid TOML: nested too deeply")]
    return FileTable(data=data, path="", file=file, faults=[]), lines, []


def _line_of(path: str, lines: Mapping[str, int]) -> int:
    while path and path not in lines:
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
    return lines.get(path, 1)


class _PackReader:
    """Reads the documents of one pack; ids are unique over all of them."""

    def __init__(self, common: Mapping[str, Any], *, generated: bool = False) -> None:
        self.generated = generated
        self.phrases: dict[str, tuple[str, ...]] = {key: tuple(value) for key, value in common["phrases"].items()}
        self.criteria: dict[str, Mapping[str, Any]] = dict(common["criteria"])
        self.lexicon = Lexicon(
            language=common["language"],
            phrases=self.phrases,
            wording=common["wording"],
            endings=tuple(common["endings"]),
            criteria=self.criteria,
        )
        self.language: str = common["language"]
        self.ids: dict[str, dict[str, str]] = {}
        self.tracks: list[Track] = []
        self.practice: list[Scenario] = []

    def collect(self, document: FileTable) -> None:
        """Take the shared phrases and criteria first: a file may use those of its neighbours."""
        groups = document.table("phrases", {})
        for key in groups.data:
            self.phrases[key] = tuple(phrase for phrase in groups.texts(key, least=1, most=80) if self.is_phrase(phrase, groups, key))
        criteria = document.table("criteria", {})
        for key in criteria.data:
            self.criteria[key] = criteria.table(key).data

    def read(self, document: FileTable) -> None:
        document.number("format", least=FORMAT, most=FORMAT)
        language = document.text("language", most=16)
        if language and language != self.language:
            document.fault(
                "language", f"{language!r} differs from {self.language!r}; a pack has one language, and its common words must exist"
            )
        self.tracks += [self.track(table) for table in document.tables("tracks", least=0)]
        self.practice += [self.scenario(table) for table in document.tables("scenarios", least=0)]
        document.finish()

    def check_not_empty(self, documents: list[FileTable]) -> None:
        if documents and not self.tracks and not self.practice and not any(document.faults for document in documents):
            documents[0].fault("", "the pack holds no [[tracks]] and no [[scenarios]]")

    def unique(self, table: FileTable, family: str, value: str, key: str = "id") -> None:
        seen = self.ids.setdefault(family, {})
        if value in seen:
            table.fault(key, f"{value!r} is already the id of {seen[value]}")
        elif value:
            seen[value] = table.path

    def track(self, table: FileTable) -> Track:
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

    def level(self, table: FileTable, track_id: str) -> Level:
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

    def scenario(self, table: FileTable, category: str | None = None) -> Scenario:
        scenario_id = table.identifier()
        self.unique(table, "scenario", scenario_id)
        if scenario_id.startswith(GENERATED) and not self.generated:
            table.fault("id", f"{GENERATED!r} marks scenarios that a model wrote: choose another beginning")
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

    def persona(self, table: FileTable) -> Persona:
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

    def anchors(self, table: FileTable) -> Anchors:
        found = {key: self.anchor(table.table(key)) for key in ("weak", "fair", "strong")}
        anchors = Anchors(weak=found["weak"], fair=found["fair"], strong=found["strong"])
        if found.keys() <= table.data.keys() and not anchors.weak.points < anchors.fair.points < anchors.strong.points:
            points = ", ".join(f"{key} {anchor.points}" for key, anchor in found.items())
            table.fault("", f"the points must rise from weak to strong, found {points}")
        table.finish()
        return anchors

    def anchor(self, table: FileTable) -> Anchor:
        anchor = Anchor(table.number("points", least=0, most=100), table.text("text", most=2500))
        table.finish()
        return anchor

    def rubric(self, table: FileTable) -> tuple[Criterion, ...]:
        children = table.tables("rubric", least=2)
        rubric = tuple(self.criterion(child) for child in children)
        for index, criterion in enumerate(rubric):
            if criterion.id and any(other.id == criterion.id for other in rubric[:index]):
                table.fault(f"rubric[{index}].id", f"{criterion.id!r} is already the id of another criterion of this rubric")
        total = sum(criterion.weight for criterion in rubric)
        if rubric and total != 100 and all(isinstance(child.data.get("weight"), int) for child in children):
            table.fault(f"rubric[{len(rubric) - 1}].weight", f"the weights of the rubric sum to {total}, not to 100")
        return rubric

    def criterion(self, table: FileTable) -> Criterion:
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

    def signal(self, table: FileTable) -> Signal:
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

    def expand(self, table: FileTable, key: str) -> tuple[str, ...]:
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
    def is_phrase(phrase: str, table: FileTable, key: str) -> bool:
        """Whether a phrase can ever match: the words of an answer are lower case and without punctuation."""
        parts = phrase.split(" ")
        words = [part.removesuffix("*") for part in parts if part not in {"..", "*"}]
        gaps_stand_between_words = not any(first == second == ".." for first, second in itertools.pairwise(parts))
        if words and ".." not in {parts[0], parts[-1]} and gaps_stand_between_words and all(split_words(word) == (word,) for word in words):
            return True
        table.fault(
            key,
            f"{phrase[:40]!r} cannot match: use lower-case words of letters or of digits, single spaces, `word*`, and `..` between words",
        )
        return False
