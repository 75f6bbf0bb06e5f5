"""A broken scenario file is told every fault with its place."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from dealquest.coach import check_file, check_pack, load_pack
from dealquest.coach.pack_reader import MAX_FILE_CHARS
from dealquest.coach.scenarios import PACKS
from dealquest.coach.toml_lines import find_lines
from dealquest.errors import InputError, NotFoundError

FOUNDATIONS = (PACKS / "en" / "foundations.toml").read_text(encoding="utf-8")
OUTREACH = (PACKS / "en" / "practice_cold_outreach.toml").read_text(encoding="utf-8")


def line_of(text: str, piece: str, *, nth: int = 1) -> int:
    """The line of the nth occurrence of a piece, counted from 1."""
    start = -1
    for _ in range(nth):
        start = text.index(piece, start + 1)
    return text.count("\n", 0, start) + 1


def test_the_builtin_files_have_no_faults() -> None:
    """Each shipped file can be checked alone and is sound."""
    files = [file for file in (PACKS / "en").glob("*.toml") if file.name != "common.toml"]
    assert len(files) > 1
    assert {file.name: check_pack(file.read_text(encoding="utf-8"), file=file.name) for file in files} == {file.name: [] for file in files}


@pytest.mark.parametrize(
    ("old", "new", "path", "says"),
    [
        (
            'like = "relevance"\nweight = 30',
            'like = "relevance"\nweight = 35',
            "tracks[0].levels[0].scenario.rubric[4].weight",
            "sum to 105",
        ),
        (
            'like = "clarity"\nweight = 15',
            'like = "brevity"\nweight = 15',
            "tracks[0].levels[0].scenario.rubric[4].like",
            "no shared criterion",
        ),
        ("difficulty = 1\n", "difficulty = 7\n", "tracks[0].levels[0].scenario.difficulty", "outside 1 to 3"),
        ("difficulty = 1\n", "difficulty = true\n", "tracks[0].levels[0].scenario.difficulty", "found true or false"),
        ('channel = "email"', 'channel = "pigeon"', "tracks[0].levels[0].scenario.channel", "one of: email, message, call, meeting"),
        ('id = "learn_1_2"', 'id = "learn_1_1"', "tracks[0].levels[1].scenario.id", "already the id of tracks[0].levels[0].scenario"),
        ('id = "1.2"', 'id = "1.1"', "tracks[0].levels[1].id", "already the id"),
        ('id = "learn_1_1"', 'id = "Learn One"', "tracks[0].levels[0].scenario.id", "is not an id"),
        ('title = "A note to a head of operations"', 'titel = "A note"', "tracks[0].levels[0].scenario.title", "missing"),
        ('title = "A note to a head of operations"', 'titel = "A note"', "tracks[0].levels[0].scenario.titel", "unknown key"),
        ('seniority = "director"', 'seniority = "boss"', "tracks[0].levels[0].scenario.persona.seniority", "'boss' is not known"),
        ("strong = { points = 92", "strong = { points = 40", "tracks[0].levels[0].scenario.anchors", "must rise"),
        (
            '{ kind = "question_first", points = 1 }',
            '{ kind = "guess" }',
            "tracks[0].levels[0].scenario.rubric[1].signals[1].kind",
            "not known",
        ),
        (
            '{ kind = "question_first", points = 1 }',
            '{ kind = "says", label = "x", any = ["Big Words!"] }',
            "tracks[0].levels[0].scenario.rubric[1].signals[1].any",
            "cannot match",
        ),
        (
            '{ kind = "question_first", points = 1 }',
            '{ kind = "says", label = "x", any = ["@nothing"] }',
            "tracks[0].levels[0].scenario.rubric[1].signals[1].any",
            "no group of phrases",
        ),
        (
            '{ kind = "question_first", points = 1 }',
            '{ kind = "question_first", most = 2 }',
            "tracks[0].levels[0].scenario.rubric[1].signals[1].most",
            "unknown key",
        ),
        ('language = "en"', 'language = "xx"', "language", "differs from"),
        ("format = 1", "format = 2", "format", "expected the number 1, found 2"),
    ],
)
def test_a_fault_is_named_with_path_and_line(old: str, new: str, path: str, says: str) -> None:
    """A single change is found at its path, on its line, in words."""
    assert old in FOUNDATIONS
    broken = FOUNDATIONS.replace(old, new, 1)
    faults = {fault.path: fault for fault in check_pack(broken, file="mine.toml")}
    assert path in faults
    fault = faults[path]
    assert says in fault.message
    assert str(fault).startswith(f"mine.toml:{fault.line}: {path}: ")
    # What is missing has no line of its own; that of its table is named.
    place = path if says != "missing" else path.rpartition(".")[0]
    assert place.rpartition(".")[2].split("[", maxsplit=1)[0] in broken.splitlines()[fault.line - 1]


def test_the_line_of_a_weight_is_exact() -> None:
    """The line is the one a person would open, even far down in the file."""
    broken = FOUNDATIONS.replace(
        'id = "listen"\nname = "Shows that you listened"\narea = "rapport"\nweight = 25',
        'id = "listen"\nname = "Shows that you listened"\narea = "rapport"\nweight = "25"',
    )
    [fault] = check_pack(broken)
    assert fault.path == "tracks[0].levels[1].scenario.rubric[0].weight"
    assert fault.line == line_of(broken, 'weight = "25"')


def test_all_faults_are_reported_at_once() -> None:
    """Three faults in one file give three lines, in file order."""
    broken = (
        OUTREACH.replace("difficulty = 1", "difficulty = 9")
        .replace('channel = "message"', 'channel = "fax"')
        .replace('id = "cold_03"', 'id = "cold_01"')
    )
    faults = check_pack(broken)
    assert [fault.path for fault in faults] == ["scenarios[0].difficulty", "scenarios[2].id", "scenarios[3].channel"]
    assert [fault.line for fault in faults] == sorted(fault.line for fault in faults)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "missing"),
        ('format = 1\nlanguage = "en"\n', "holds no [[tracks]] and no [[scenarios]]"),
        ("[[tracks]\nid = 1", "not valid TOML"),
        ("a = " + "[" * 20_000, "not valid TOML"),
        ("\x00", "not valid TOML"),
        ("#" * (MAX_FILE_CHARS + 1), "split it"),
        ('format = 1\nlanguage = "en"\ntracks = 7\nscenarios = [1, {}]\n', "expected a list of tables"),
    ],
)
def test_any_text_gets_a_fault_and_no_exception(text: str, says: str) -> None:
    """Files that are no packs at all are refused in words."""
    faults = check_pack(text)
    assert any(says in str(fault) for fault in faults)


def test_a_syntax_error_names_its_line() -> None:
    """The line of tomllib is passed on."""
    broken = FOUNDATIONS.replace('channel = "email"', "channel = email", 1)
    [fault] = check_pack(broken)
    assert fault.line == line_of(broken, "channel = email")


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(FOUNDATIONS.splitlines()) - 1),
            st.sampled_from(["", "x = 1", "[a]", "weight = -1", "}", '"', "signals = []", "[[tracks]]"]),
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=60, deadline=None)
def test_a_mangled_file_never_raises_and_lines_are_real(changes: list[tuple[int, str]]) -> None:
    """Whatever lines are replaced, the checker answers, and every line it names exists."""
    lines = FOUNDATIONS.splitlines()
    for place, line in changes:
        lines[place] = line
    text = "\n".join(lines)
    for fault in check_pack(text):
        assert 0 <= fault.line <= len(lines) + 1


def paths_of(value: object, path: str = "") -> list[str]:
    """Every path below a parsed value."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key, child in value.items():
            found += paths_of(child, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            found += paths_of(child, f"{path}[{index}]")
    return found


@pytest.mark.parametrize("file", sorted((PACKS / "en").glob("*.toml")), ids=lambda file: file.stem)
def test_every_path_of_a_file_has_a_line(file: Path) -> None:
    """The locator finds what tomllib finds, in each shipped file."""
    text = file.read_text(encoding="utf-8")
    lines = find_lines(text)
    implied = {"tracks", "scenarios", "levels", "rubric", "signals", "criteria"}
    for path in paths_of(tomllib.loads(text)):
        if path in lines:
            assert 1 <= lines[path] <= text.count("\n") + 1
        else:
            assert path.rsplit(".", 1)[-1] in implied


keys = st.text("abcdef", min_size=1, max_size=3)
scalars = st.integers(0, 99).map(str) | st.sampled_from(
    [
        '"x # ] }"',
        "'''a\n]\nb'''",
        '"""\n[[no]]\nk = 1\n"""',
        "true",
        "1979-05-27",
        '"\\""',
        "[1, 2,\n 3]",
        "{ q = 1, r = [ { s = 2 } ] }",
        "[]",
    ]
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["", "[{}]", "[[{}]]"]), keys, st.dictionaries(keys, scalars, min_size=1, max_size=3)),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=80, deadline=None)
def test_a_key_stands_on_the_line_that_the_locator_names(blocks: list[tuple[str, str, dict[str, str]]]) -> None:
    """For generated TOML with strings that look like syntax, the named line holds the key."""
    text = ""
    for form, name, pairs in blocks:
        text += (form.format(name) + "\n" if form else "") + "".join(f"{key} = {value}  # note ]\n" for key, value in pairs.items())
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        reject()
    lines = find_lines(text)
    for path in paths_of(data):
        last = path.rpartition(".")[2]
        if "[" not in last and path in lines:
            assert last in text.splitlines()[lines[path] - 1]
        else:
            assert "[" in last or f"[[{path}]]" in text


def test_a_pack_of_ones_own_is_loaded_from_a_file_and_a_folder(tmp_path: Path) -> None:
    """A path loads like a built-in pack; a folder's files are one pack."""
    (tmp_path / "a.toml").write_text(OUTREACH, encoding="utf-8")
    assert len(load_pack(tmp_path / "a.toml").practice) == 4
    (tmp_path / "b.toml").write_text(FOUNDATIONS, encoding="utf-8")
    pack = load_pack(tmp_path)
    assert (len(pack.tracks), len(pack.practice), pack.language) == (1, 4, "en")


def test_files_of_one_folder_share_their_ids(tmp_path: Path) -> None:
    """The same id in two files is a fault, named with its file."""
    (tmp_path / "a.toml").write_text(OUTREACH, encoding="utf-8")
    (tmp_path / "b.toml").write_text(OUTREACH, encoding="utf-8")
    with pytest.raises(InputError, match=r"b\.toml:\d+: scenarios\[0\]\.id") as caught:
        load_pack(tmp_path)
    assert caught.value.code == "coach.pack.invalid"


def test_own_phrases_and_criteria_can_be_used(tmp_path: Path) -> None:
    """A file may bring its own groups of phrases and shared criteria."""
    text = OUTREACH.replace('like = "clarity", weight = 15', 'like = "mine", weight = 15', 1)
    text += """
[phrases]
warm = ["dear colleague"]
[criteria.mine]
name = "Warm"
area = "rapport"
description = "d"
suggestion = "s"
signals = [{ kind = "says", label = "warmth", any = ["@warm"] }]
"""
    file = tmp_path / "own.toml"
    file.write_text(text, encoding="utf-8")
    assert load_pack(file).practice[0].rubric[-1].signals[0].phrases == ("dear colleague",)


def test_what_cannot_be_read_is_said_plainly(tmp_path: Path) -> None:
    """Missing, binary and unreadable packs have their own codes and sentences."""
    with pytest.raises(NotFoundError) as unknown:
        load_pack("klingon")
    assert unknown.value.code == "coach.pack.unknown"
    with pytest.raises(NotFoundError):
        load_pack(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError) as unreadable:
        load_pack(tmp_path / "bytes.toml")
    assert unreadable.value.code == "coach.pack.unreadable"
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "folder.toml" / "x.toml").mkdir()
    with pytest.raises(InputError) as folder:
        load_pack(tmp_path / "folder.toml")
    assert folder.value.code == "coach.pack.unreadable"


def test_anchors_that_the_signals_cannot_tell_apart_are_a_fault() -> None:
    """A sound file whose strong answer earns nothing by its own signals is told so, at its place."""
    strong = OUTREACH.index("strong = {", OUTREACH.index('id = "cold_02"'))
    end = OUTREACH.index("\n", strong)
    broken = OUTREACH[:strong] + 'strong = { points = 92, text = "Please call me back, thank you." }' + OUTREACH[end:]
    faults = check_pack(broken)
    assert {fault.path for fault in faults} == {"scenarios[1].anchors"}
    assert any("must rise" in fault.message for fault in faults)
    assert any("below 60 it fails" in fault.message for fault in faults)
    assert faults[0].line == line_of(broken, "[scenarios.anchors]", nth=2)


def test_a_file_on_disk_is_checked_whatever_it_is(tmp_path: Path) -> None:
    """Sound, broken, missing, binary: each gets printable lines and no exception."""
    sound, broken, binary = tmp_path / "sound.toml", tmp_path / "broken.toml", tmp_path / "binary.toml"
    sound.write_text(OUTREACH, encoding="utf-8")
    broken.write_text(OUTREACH.replace("difficulty = 1", "difficulty = 5"), encoding="utf-8")
    binary.write_bytes(b"\xff\x00")
    assert check_file(sound) == []
    assert [str(fault) for fault in check_file(broken)] == [
        f"broken.toml:{line_of(broken.read_text(), 'difficulty = 5')}: scenarios[0].difficulty: 5 is outside 1 to 3"
    ]
    assert "UTF-8" in str(check_file(binary)[0])
    assert "no scenario pack" in str(check_file(tmp_path / "absent.toml")[0])


def test_a_folder_is_checked_across_its_files(tmp_path: Path) -> None:
    """Ids that clash between two sound files are found."""
    (tmp_path / "a.toml").write_text(OUTREACH, encoding="utf-8")
    (tmp_path / "b.toml").write_text(OUTREACH, encoding="utf-8")
    faults = check_file(tmp_path)
    assert len(faults) == 4
    assert all(fault.file == "b.toml" and "already the id" in fault.message for fault in faults)


@pytest.mark.parametrize(
    "phrase", ["b2b", "Big", "two  spaces", ".. start", "end ..", "a .. .. b", "comma, here", "", "*", "café au lait!"]
)
def test_a_phrase_that_can_never_match_is_a_fault(phrase: str) -> None:
    """What no answer can hold after reading is refused, gaps that would multiply too."""
    broken = FOUNDATIONS.replace('"could you have"]', f'"could you have", "{phrase}"]', 1)
    assert broken != FOUNDATIONS
    [fault] = check_pack(broken)
    assert fault.path.rpartition(".")[2].startswith("any")
    assert fault.line == line_of(broken, '"could you have", ')


def test_the_common_phrases_can_match() -> None:
    """The words that every pack uses obey the rule they set for others."""
    common = tomllib.loads((PACKS / "en" / "common.toml").read_text(encoding="utf-8"))
    phrases = [phrase for group in common["phrases"].values() for phrase in group]
    listed = ", ".join(json.dumps(phrase, ensure_ascii=False) for phrase in phrases)
    assert check_pack(f"{OUTREACH}\n[phrases]\nall = [{listed}]\n") == []


def test_the_documented_example_is_sound() -> None:
    """The example of docs/scenario-format.md loads, and its anchors are told apart."""
    page = (Path(__file__).parents[2] / "docs" / "scenario-format.md").read_text(encoding="utf-8")
    assert check_pack(page.partition("```toml\n")[2].partition("```")[0]) == []


def test_a_hostile_file_sends_no_control_codes_to_the_terminal() -> None:
    """Keys and values of a file are printed without escape sequences."""
    text = 'format = 1\nlanguage = "\\u001b[31m"\n"\\u001b]0;x\\u0007" = 1\n[[scenarios]]\nid = "\\u001b[2J"\n'
    faults = check_pack(text, file="bad\x1b.toml")
    assert faults
    assert all(str(fault).isprintable() for fault in faults)
