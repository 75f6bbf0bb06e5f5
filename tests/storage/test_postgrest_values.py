"""Python values to PostgreSQL's text and JSON, and answers back to typed rows."""

import dataclasses
import enum
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypedDict
from uuid import UUID

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import InputError, PeerGarbledError
from dealquest.storage.postgrest.literals import as_mapping, encode_array, encode_json, encode_rows
from dealquest.storage.postgrest.rows import decode_rows, decode_value

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=UTC)
KEY = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


class Mood(enum.Enum):
    GOOD = "good"


@attrs.frozen(kw_only=True)
class Attempt:
    id: int
    price: Decimal
    at: datetime
    key: UUID
    blob: bytes | None = None
    inner: "Inner | None" = None


@attrs.frozen(kw_only=True)
class Inner:
    parts: list[bytes]


@dataclasses.dataclass(frozen=True)
class Plain:
    id: int


class Typed(TypedDict):
    id: int


ROW = rb"""[{"id":9007199254740993,"price":12.50,"at":"2026-11-22T12:00:00.123456+00:00",
 "key":"6ba7b810-9dad-11d1-80b4-00c04fd430c8","blob":"\\x00ff","inner":{"parts":["\\x01"]},"more":1}]"""


@attrs.define
class Race:
    took: timedelta
    laps: list[timedelta | None]


def test_typed_rows_are_exact() -> None:
    """Wide integers, decimals, aware datetimes, UUIDs and nested bytes arrive as what they are."""
    assert decode_rows(ROW, Attempt) == [
        Attempt(id=2**53 + 1, price=Decimal("12.50"), at=NOON, key=KEY, blob=b"\x00\xff", inner=Inner(parts=[b"\x01"]))
    ]
    assert str(decode_rows(ROW, Attempt)[0].price) == "12.50"


def test_every_kind_of_row() -> None:
    """Dataclasses, TypedDicts and dicts serve as rows; an empty body and null are no rows."""
    assert decode_rows(b'[{"id":1}]', Plain) == [Plain(1)]
    assert decode_rows(b'[{"id":1}]', Typed) == [{"id": 1}]
    assert decode_rows(b'[{"id":1,"x":1.5}]', dict) == [{"id": 1, "x": 1.5}]
    assert decode_rows(b'[{"x":1.50}]', dict, exact=True) == [{"x": Decimal("1.50")}]
    assert decode_rows(b"", Plain) == decode_rows(b"null", Plain) == decode_rows(b"[]", Plain) == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<html>", "storage.answer.not_json"),
        (b"[{", "storage.answer.not_json"),
        (b'[{"id":"x"}]', "storage.answer.mismatch"),
        (b'{"id":1}', "storage.answer.mismatch"),
        (b'[{"id":1,"parts":1}]', "storage.answer.mismatch"),
    ],
)
def test_an_answer_that_does_not_fit_is_the_peers_fault(body: bytes, code: str) -> None:
    """Garbage and rows of another shape become typed errors that name the place."""
    row: Any = Inner if b"parts" in body else Plain
    with pytest.raises(PeerGarbledError) as caught:
        decode_rows(body, row)
    assert caught.value.code == code


def test_a_class_that_cannot_be_read_into_is_the_callers_mistake() -> None:
    """A plain class is told as such and not blamed on the server; an empty body is null."""

    class Bare:
        pass

    for read in (decode_rows, decode_value):
        with pytest.raises(InputError) as caught:
            read(b'[{"id":1}]', Bare)
        assert caught.value.code == "storage.row.class"
    assert decode_value(b"", bytes | None) is None


def test_numbers_with_a_name() -> None:
    """PostgreSQL's NaN and Infinity, which JSON has as text, become floats and decimals; text for a number is still refused."""
    assert decode_value(b'"-Infinity"', float) == float("-inf")
    assert decode_rows(b'["Infinity",1.5]', float) == [float("inf"), 1.5]
    assert decode_value(b'"NaN"', Decimal).is_nan()
    with pytest.raises(PeerGarbledError):
        decode_value(b'"1.5"', float)


def test_bytea_in_another_notation_is_refused() -> None:
    """Bytes that are not hex are not guessed at."""
    with pytest.raises(PeerGarbledError):
        decode_value(rb'{"parts":["\\xzz"]}', Inner)


@given(st.binary(max_size=64), st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.datetimes(timezones=st.just(UTC)))
def test_values_survive_the_trip_both_ways(blob: bytes, number: int, price: Decimal, at: datetime) -> None:
    """What a body says, a typed row reads back: bytes, integers of any width, decimals to the last digit, instants."""
    row = Attempt(id=number, price=price, at=at, key=KEY, blob=blob)
    body = encode_json([as_mapping(row)])
    back = decode_rows(body, Attempt)
    assert back == [row]
    assert back[0].price.as_tuple() == price.as_tuple()


@given(st.lists(st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=6) | st.none(), max_size=4))
def test_q1_array_elements_stay_elements(values: list[str | None]) -> None:
    """An array literal reads back as the same elements, whatever they hold."""
    assert read_array(encode_array(values)) == values


def read_array(text: str) -> list[str | None]:
    """PostgreSQL's rule, written once more: quoted elements keep everything, a bare NULL is null."""
    found: list[str | None] = []
    at = 1
    while text[at] != "}":
        if text[at] == '"':
            at += 1
            item = ""
            while text[at] != '"':
                at += text[at] == "\\"
                item += text[at]
                at += 1
            at += 1
            found.append(item)
        else:
            assert text.startswith("NULL", at)
            found.append(None)
            at += 4
        at += text[at] == ","
    return found


def test_json_bodies_are_exact_and_unset_is_absent() -> None:
    """Numbers keep their digits, NaN its name, bytes go as hex, and an unset member is not there."""
    body = encode_json(
        {"a": Decimal("0.10"), "b": float("nan"), "c": b"\x01", "d": msgspec.UNSET, "e": (1,), "f": Mood.GOOD, "g": Plain(1)}
    )
    assert body == rb'{"a":0.10,"b":"NaN","c":"\\x01","e":[1],"f":"good","g":{"id":1}}'


columns = (
    st.none() | st.text(max_size=5) | st.floats() | st.integers() | st.decimals() | st.binary(max_size=3) | st.datetimes() | st.just(NOON)
)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b"]), columns, max_size=2), max_size=4))
def test_the_fast_way_of_rows_is_the_careful_way(rows: list[dict[str, Any]]) -> None:
    """Many rows are written, or refused, exactly as one value would be."""
    try:
        careful: object = msgspec.json.decode(encode_json(rows))
    except InputError as exc:
        careful = exc.code
    try:
        fast: object = msgspec.json.decode(encode_rows(rows).replace(b"00Z", b"00+00:00").replace(b"56Z", b"56+00:00"))
    except InputError as exc:
        fast = exc.code
    assert fast == careful


def test_a_proxy_that_reads_doubles_gets_wide_numbers_as_text() -> None:
    """For InsForge a wide number of a column travels as text; inside a json value it is refused, not rounded."""
    assert encode_json([{"id": 2**60, "n": 1}], doubles=True) == b'[{"id":"1152921504606846976","n":1}]'
    assert encode_json({"id": 2**60}, doubles=True) == b'{"id":"1152921504606846976"}'
    with pytest.raises(InputError) as caught:
        encode_json({"data": {"id": 2**60}}, doubles=True)
    assert caught.value.code == "storage.value.too_wide"
    assert decode_rows(b'[{"id":"1152921504606846976"}]', Plain, lax=True) == [Plain(2**60)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("02:03:04", timedelta(hours=2, minutes=3, seconds=4)),
        ("1 day", timedelta(days=1)),
        ("-1 days +02:03:04.5", timedelta(days=-1, hours=2, minutes=3, seconds=4.5)),
        ("3 days -00:00:00.000001", timedelta(days=3, microseconds=-1)),
        ("-838:59:59", timedelta(hours=-838, minutes=-59, seconds=-59)),
        ("P1DT2H", timedelta(days=1, hours=2)),
    ],
)
def test_intervals_are_read_as_timedelta(text: str, wanted: timedelta) -> None:
    """PostgreSQL's own text for an interval, wherever it stands in a row."""
    body = msgspec.json.encode([{"took": text, "laps": [text, None]}])
    assert decode_rows(body, Race) == [Race(took=wanted, laps=[wanted, None])]


def test_an_interval_of_months_has_no_length() -> None:
    """A month is no fixed number of days, so it is not guessed."""
    with pytest.raises(PeerGarbledError) as caught:
        decode_rows(b'[{"took":"1 mon 2 days","laps":[]}]', Race)
    assert caught.value.code == "storage.answer.mismatch"
