"""Each kind of value as PostgreSQL reads it, in a filter, in an array, in a JSON body; and the words for what it cannot hold."""

import dataclasses
import enum
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from types import MappingProxyType
from uuid import UUID

import attrs
import msgspec
import pytest

from dealquest.errors import InputError
from dealquest.storage.postgrest.literals import SAFE_INTEGER, as_mapping, encode_array, encode_json, encode_rows, encode_text

KEY = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  # naive on purpose
WIDE = SAFE_INTEGER + 1


class Grade(enum.IntEnum):
    BEST = 1


class Mood(str, enum.Enum):  # noqa: UP042  # the older way, which users have
    GOOD = "good"


class Label(str):
    __slots__ = ()


class Whole(int):
    pass


@dataclasses.dataclass
class Plain:
    id: int
    note: object = msgspec.UNSET


@attrs.define
class Row:
    id: int
    note: object = msgspec.UNSET


class Renamed(msgspec.Struct, rename="camel"):
    row_id: int
    note: object = msgspec.UNSET


class Nowhere(tzinfo):
    """A zone that does not know its offset, which makes a datetime as naive as none."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None


@pytest.mark.parametrize(
    ("value", "text", "element", "body"),
    [
        (True, "true", "true", "true"),
        (False, "false", "false", "false"),
        (-12, "-12", "-12", "-12"),
        (2**70, str(2**70), str(2**70), str(2**70)),
        (1.5, "1.5", "1.5", "1.5"),
        (float("nan"), "NaN", "NaN", '"NaN"'),
        (float("inf"), "Infinity", "Infinity", '"Infinity"'),
        (float("-inf"), "-Infinity", "-Infinity", '"-Infinity"'),
        (Decimal("2.50"), "2.50", "2.50", "2.50"),
        (Decimal("NaN"), "NaN", "NaN", '"NaN"'),
        (Decimal("sNaN"), "NaN", "NaN", '"NaN"'),
        (Decimal("Infinity"), "Infinity", "Infinity", '"Infinity"'),
        (Decimal("-Infinity"), "-Infinity", "-Infinity", '"-Infinity"'),
        ("a\\b", "a\\b", '"a\\\\b"', '"a\\\\b"'),
        ('"NULL"', '"NULL"', '"\\"NULL\\""', '"\\"NULL\\""'),
        (Label("é"), "é", '"é"', '"é"'),
        (Mood.GOOD, "good", '"good"', '"good"'),
        (Grade.BEST, "1", '"1"', "1"),
        (date(2026, 1, 2), "2026-01-02", '"2026-01-02"', '"2026-01-02"'),
        (time(1, 2), "01:02:00", '"01:02:00"', '"01:02:00"'),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00", '"2026-01-02T00:00:00+00:00"', '"2026-01-02T00:00:00+00:00"'),
        (timedelta(hours=25, microseconds=1), "P1DT3600.000001S", '"P1DT3600.000001S"', '"P1DT3600.000001S"'),
        (timedelta(microseconds=-1), "P-1DT86399.999999S", '"P-1DT86399.999999S"', '"P-1DT86399.999999S"'),
        (KEY, str(KEY), f'"{KEY}"', f'"{KEY}"'),
        (b"\x01\xff", "\\x01ff", '"\\\\x01ff"', '"\\\\x01ff"'),
        (bytearray(b"\x01"), "\\x01", '"\\\\x01"', '"\\\\x01"'),
        (memoryview(b"\x01"), "\\x01", '"\\\\x01"', '"\\\\x01"'),
        ({"a": 1}, '{"a":1}', '"{\\"a\\":1}"', '{"a":1}'),
        (MappingProxyType({"a": msgspec.UNSET, "b": 1}), '{"b":1}', '"{\\"b\\":1}"', '{"b":1}'),
        (Plain(1), '{"id":1}', '"{\\"id\\":1}"', '{"id":1}'),
        (Row(1), '{"id":1}', '"{\\"id\\":1}"', '{"id":1}'),
        (Renamed(1), '{"rowId":1}', '"{\\"rowId\\":1}"', '{"rowId":1}'),
        ([1, None, "x"], '{1,NULL,"x"}', '{1,NULL,"x"}', '[1,null,"x"]'),
        ((1, (2,)), "{1,{2}}", "{1,{2}}", "[1,[2]]"),
    ],
)
def test_q1_every_kind_of_value_has_one_text(value: object, text: str, element: str, body: str) -> None:
    """In a filter, as an element of an array and in a JSON body each value is written as PostgreSQL reads it there."""
    assert encode_text(value) == text
    assert encode_array([value, value]) == f"{{{element},{element}}}"
    assert encode_json({"a": [value]}).decode() == f'{{"a":[{body}]}}'
    assert encode_rows([{"a": value}]).decode().replace("Z", "+00:00") == f'[{{"a":{body}}}]'


def test_sets_are_arrays_too() -> None:
    """Whatever holds values once is written as a list of them."""
    for value in ({1}, frozenset((1,))):
        assert (encode_text(value), encode_json(value)) == ("{1}", b"[1]")


def test_json_that_is_written_already_goes_as_it_is() -> None:
    """A raw message is neither read nor changed, and an empty value is null."""
    assert encode_json({"a": msgspec.Raw(b'{"b": 1}'), "c": None}) == b'{"a":{"b": 1},"c":null}'


def test_keys_of_objects_have_the_text_of_their_value() -> None:
    """A key may be any value that has a text, at any depth."""
    assert encode_json({1: {Mood.GOOD: {date(2026, 1, 2): {Label("x"): 0}}}}) == b'{"1":{"good":{"2026-01-02":{"x":0}}}}'


@pytest.mark.parametrize("row", [{"id": 1, "note": msgspec.UNSET}, MappingProxyType({"id": 1, "note": msgspec.UNSET}), Plain(1), Row(1)])
def test_a_row_of_any_class_is_its_columns(row: object) -> None:
    """What is unset is no column, and the rest keeps its order."""
    assert as_mapping(row) == {"id": 1}
    assert list(as_mapping(attrs.evolve(Row(2), note=3))) == ["id", "note"]
    assert as_mapping(Plain(2, note=3)) == {"id": 2, "note": 3}
    assert as_mapping(Renamed(2, note=3)) == {"rowId": 2, "note": 3}
    assert as_mapping(Renamed(2)) == {"rowId": 2}


NAIVE_WORDS = "A datetime without a time zone is ambiguous: add one, or pass its text for a timestamp without time zone."
NUL_WORDS = "PostgreSQL's text cannot hold the character NUL; remove it or use bytes."
HALF_WORDS = "The text holds half of a surrogate pair, no character."


@pytest.mark.parametrize(
    ("write", "code", "words"),
    [
        (lambda: encode_text(None), "null", 'None is compared with "is": use eq(None), neq(None) or is_("null").'),
        (lambda: encode_text(NAIVE), "naive_datetime", NAIVE_WORDS),
        (lambda: encode_text(NAIVE.replace(tzinfo=Nowhere())), "naive_datetime", NAIVE_WORDS),
        (lambda: encode_json([NAIVE]), "naive_datetime", NAIVE_WORDS),
        (lambda: encode_rows([{"a": 1}, {"a": NAIVE}]), "naive_datetime", NAIVE_WORDS),
        (lambda: encode_text("\0"), "nul", NUL_WORDS),
        (lambda: encode_array(["é\0"]), "nul", NUL_WORDS),
        (lambda: encode_json({"a\0": 1}), "nul", NUL_WORDS),
        (lambda: encode_json(Label("\0")), "nul", NUL_WORDS),
        (lambda: encode_rows([{"a": "\0"}]), "nul", NUL_WORDS),
        (lambda: encode_text("\ud800"), "unencodable", HALF_WORDS),
        (lambda: encode_rows([{"a": "\ud800"}]), "unencodable", HALF_WORDS),
        (lambda: encode_text(object()), "unencodable", "A object has no text for PostgreSQL; pass its text or a plain value."),
        (lambda: encode_text(Plain), "unencodable", "A type has no text for PostgreSQL; pass its text or a plain value."),
        (lambda: encode_text(Row), "unencodable", "A type has no text for PostgreSQL; pass its text or a plain value."),
        (
            lambda: encode_json([Whole(1)]),
            "unencodable",
            "The value cannot be written as JSON: Encoding objects of type Whole is unsupported.",
        ),
        (
            lambda: encode_json({"a": {"b": WIDE}}, doubles=True),
            "too_wide",
            "A number inside a json value is wider than the server's proxy keeps; store it as text.",
        ),
    ],
)
def test_q1_what_postgresql_cannot_hold_is_refused_with_words(write: Callable[[], object], code: str, words: str) -> None:
    """Wherever such a value stands, the error says what is wrong and what to do."""
    with pytest.raises(InputError) as caught:
        write()
    assert (caught.value.code, caught.value.message) == (f"storage.value.{code}", words)


@pytest.mark.parametrize("row", [3, "text", [1], Plain, Row])
def test_what_is_no_row_is_refused_with_words(row: object) -> None:
    """Neither a bare value nor a class has columns."""
    with pytest.raises(InputError) as caught:
        as_mapping(row)
    words = f"A row is a mapping, an attrs object or a dataclass, not a {type(row).__name__}."
    assert (caught.value.code, caught.value.message) == ("storage.row.unreadable", words)


@pytest.mark.parametrize("number", [SAFE_INTEGER, -SAFE_INTEGER, Decimal("0.5"), True, 1.1])
def test_what_doubles_hold_goes_as_a_number(number: object) -> None:
    """To the last number that a double keeps, and at every depth, nothing changes."""
    for value in (number, [number], {"a": number}, [{"a": number}], {"a": {"b": [number]}}, [{"a": [number]}]):
        assert encode_json(value, doubles=True) == encode_json(value)


@pytest.mark.parametrize("number", [WIDE, -WIDE, Decimal("0.1"), Decimal("1E+400") / 3])
def test_what_doubles_cannot_hold_goes_as_text_or_not_at_all(number: object) -> None:
    """In a column PostgreSQL casts the text back; inside a json value the text would stay one."""
    for value in (number, {"a": number}, [{"a": number}]):
        assert encode_json(value, doubles=True).decode() == encode_json(value).decode().replace(str(number), f'"{number}"')
    assert encode_rows([{"a": number}], doubles=True).decode() == f'[{{"a":"{number}"}}]'
    for inside in ({"a": [number]}, {"a": {"b": number}}, [{"a": [number]}], [{"a": {"b": number}}]):
        with pytest.raises(InputError) as caught:
            encode_json(inside, doubles=True)
        assert caught.value.code == "storage.value.too_wide"


def test_the_offset_of_a_datetime_stays() -> None:
    """An instant is written with the zone that it came with."""
    moment = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    assert encode_text(moment) == "2026-01-02T03:00:00+02:00"
    assert encode_rows([{"a": moment}]) == encode_json([{"a": moment}]) == b'[{"a":"2026-01-02T03:00:00+02:00"}]'
