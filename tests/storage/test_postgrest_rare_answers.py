"""The client where little is sent or little comes back: nothing to write, nothing counted, no time left, values of odd forms."""

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from dealquest.errors import DealQuestError, LimitError, NotFoundError, PeerGarbledError
from dealquest.storage import Postgrest
from dealquest.testing import FrozenClock, ScriptedTransport, answer_bytes, answer_json


@attrs.frozen
class Kept:
    """A row with values that PostgreSQL writes as texts of its own."""

    id: int
    blob: bytes | None = None
    at: datetime | None = None


def client(*script: Any, **options: Any) -> tuple[Postgrest, ScriptedTransport]:
    clock = FrozenClock()
    transport = ScriptedTransport(*script, timer=clock)
    return Postgrest(transport, timer=clock, **options), transport


async def test_a_write_of_no_rows_is_an_empty_list() -> None:
    """An empty list is sent as one and takes no default for columns that it does not have."""
    db, wire = client(answer_json([], status=201))
    assert await db.table("users").insert([]).all() == []
    assert wire.requests[0].body == b"[]"


@pytest.mark.parametrize("missing", ["default", "null"])
async def test_what_a_row_lacks_is_filled_as_wished(missing: Any) -> None:
    """The caller's wish goes before our own choice for rows of different columns."""
    db, wire = client(answer_json([], status=201))
    await db.table("users").insert([{"a": 1}, {"b": 2}], missing=missing).all()
    assert f"missing={missing}" in dict(wire.requests[0].headers)["prefer"]


async def test_a_write_that_nobody_counted_is_said() -> None:
    """Without a count the number of rows is not made up; a write that left no row is not found."""
    db, _ = client(answer_bytes(b"", status=201), answer_json([], status=201))
    with pytest.raises(PeerGarbledError) as garbled:
        await db.table("users").insert({"a": 1}).count()
    assert garbled.value.code == "storage.answer.no_total"
    with pytest.raises(NotFoundError) as lost:
        await db.table("users").insert({"a": 1}).one()
    assert lost.value.code == "storage.row_not_found"


async def test_no_time_is_no_request() -> None:
    """A client without time asks nobody."""
    db, wire = client(timeout_s=0)
    with pytest.raises(LimitError) as caught:
        await db.table("users").select("id").all()
    assert caught.value.code == "storage.timeout"
    assert wire.requests == []


@pytest.mark.parametrize(
    ("row", "blob"),
    [
        ({"id": 1, "blob": "\\x6869"}, b"hi"),
        ({"id": 1, "blob": "aGk="}, b"hi"),
        ({"id": 1, "blob": None}, None),
    ],
)
async def test_bytes_come_in_either_form(row: dict[str, Any], blob: bytes | None) -> None:
    """A bytea as PostgreSQL writes it, and base64 as a server of its own may give it, are the same bytes."""
    db, _ = client(answer_json([{**row, "at": "2026-11-22T12:00:00+00:00"}]))
    [kept] = await db.table("kept").select("id", "blob", "at").all(Kept)
    assert (kept.blob, kept.at) == (blob, datetime(2026, 11, 22, 12, tzinfo=UTC))


async def test_a_value_of_another_kind_is_garbled() -> None:
    """A number where a text was promised is told as an answer that makes no sense."""
    db, _ = client(answer_json([{"id": 1, "blob": 7}]))
    with pytest.raises(DealQuestError) as caught:
        await db.table("kept").select("id", "blob").all(Kept)
    assert isinstance(caught.value, PeerGarbledError)
