"""Pages, chunks and long lists, against a small server that cuts answers like a real one."""

import re
from typing import Any
from urllib.parse import parse_qsl

import attrs
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dealquest.errors import ConflictError, InputError, LimitError, PeerGarbledError
from dealquest.storage import Postgrest, embed
from dealquest.storage.postgrest.bulk import pack_rows
from dealquest.testing import FrozenClock, ScriptedTransport, Step, answer_bytes, answer_json
from dealquest.wire import HttpRequest


@attrs.frozen
class Item:
    id: int


def serve(rows: list[dict[str, Any]], cap: int) -> Any:
    """A table ordered by id that gives `cap` rows at most and says nothing about the rest."""

    def answer(request: HttpRequest) -> Step:
        query = dict(parse_qsl(request.url.partition("?")[2]))
        found = rows
        if after := query.get("id", "").removeprefix("gt."):
            found = [row for row in rows if row["id"] > int(after)] if "gt." in query["id"] else found
        if listed := re.findall(r'"(\d+)"', query.get("id", "")):
            found = [row for row in rows if str(row["id"]) in listed]
        start = int(query.get("offset", 0))
        return answer_json(found[start : start + min(cap, int(query.get("limit", cap)))])

    return answer


def client(script: Any, **options: Any) -> tuple[Postgrest, ScriptedTransport]:
    clock = FrozenClock()
    wire = ScriptedTransport(script, timer=clock, repeat=True)
    return Postgrest(wire, timer=clock, **options), wire


@pytest.mark.parametrize("by_offset", [False, True])
@pytest.mark.parametrize(("total", "cap", "size"), [(0, 5, 3), (7, 5, 3), (7, 2, 3), (6, 3, 3), (10, 1, 4), (5, 100, 10)])
async def test_pages_reach_the_true_end(by_offset: bool, total: int, cap: int, size: int) -> None:
    """Every row comes once and in order, however low the server's own limit is."""
    db, _ = client(serve([{"id": number} for number in range(1, total + 1)], cap))
    query = db.table("items").select()
    if by_offset:
        query = query.order("id")
    seen = [item.id async for item in query.each(Item, size=size, by_offset=by_offset)]
    assert seen == list(range(1, total + 1))


async def test_a_short_last_page_costs_no_extra_request() -> None:
    """Once the server has given a longer page, a short one is the end."""
    db, wire = client(serve([{"id": number} for number in range(1, 8)], 100))
    assert len([item async for item in db.table("items").select().each(size=3)]) == 7
    assert len(wire.requests) == 3


async def test_limit_counts_all_pages() -> None:
    """The query's limit is for all pages together."""
    db, _ = client(serve([{"id": number} for number in range(1, 100)], 4))
    assert len([item async for item in db.table("items").select().limit(9).each(Item, size=5)]) == 9


async def test_a_key_of_two_columns() -> None:
    """The next page starts after the pair, and a minus turns a column round."""
    db, wire = client(answer_json([]))
    wire._script[:] = [answer_json([{"a": 1, "b": "x,y"}]), answer_json([])]
    _ = [row async for row in db.table("items").select("a", "b").each(key=("a", "-b"), size=1)]
    assert "order=a,b.desc" in wire.requests[1].url
    assert "or=(a.gt.1,and(a.eq.1,b.lt.%22x,y%22))" in wire.requests[1].url


@pytest.mark.parametrize("step", ["order", "offset", "unselected", "null", "size", "no order"])
async def test_pages_that_could_lose_rows_are_refused(step: str) -> None:
    """A foreign order, an unselected or null key, or offsets without an order would skip or repeat rows."""
    db, _ = client(answer_json([{"id": None}]))
    query = db.table("items").select()
    pages = {
        "order": query.order("x").pages(),
        "offset": query.limit(5, offset=2).pages(),
        "unselected": query.select("name").pages(),
        "null": query.pages(size=1),
        "size": query.pages(size=0),
        "no order": query.pages(by_offset=True),
    }[step]
    with pytest.raises(InputError):
        _ = [page async for page in pages]


async def test_a_list_longer_than_a_url_is_asked_in_parts() -> None:
    """Thousands of values in one `in` become several requests, each short enough, and one list of rows."""
    db, wire = client(serve([{"id": number} for number in range(5000)], 10_000), row_limit=None)
    rows = await db.table("items").where(id__in=range(3000)).all(Item)
    assert {row.id for row in rows} == set(range(3000))
    assert len(rows) == 3000
    assert len(wire.requests) > 1
    assert all(len(request.url) <= 8000 for request in wire.requests)


async def test_a_key_that_a_proxy_rounds_is_refused() -> None:
    """Through InsForge's proxy a wide key arrives rounded, and the next page would start elsewhere."""
    db, _ = client(answer_json([{"id": 2**60}]), dialect="insforge")
    with pytest.raises(InputError) as caught:
        _ = [row async for row in db.table("items").select().each(size=1)]
    assert caught.value.code == "storage.paging"


async def test_a_page_that_is_no_json_is_the_peers_fault() -> None:
    """Garbage in the middle of paging is the same typed error as elsewhere."""
    db, _ = client(answer_bytes(b"<html>"))
    with pytest.raises(PeerGarbledError):
        _ = [row async for row in db.table("items").select().each()]


@pytest.mark.parametrize("way", ["order", "limit", "aggregate", "delete", "text"])
async def test_a_long_list_that_cannot_be_cut_is_said(way: str) -> None:
    """Where parts would not add up to the whole, the client says so instead of sending what no server takes."""
    db, wire = client(answer_json([]))
    query = db.table("items").where(id__in=range(9000))
    sent = {
        "order": query.order("id").all(),
        "limit": query.limit(3).all(),
        "aggregate": query.select("n.sum()", embed("x", "n.max()", spread=True)).all(),
        "text": db.table("items").where(name="x" * 9000).all(),
        "delete": db.table("items").delete().where(id__in=range(9000)).run(),
    }
    for name, call in sent.items():
        if name == way:
            with pytest.raises(LimitError) as caught:
                await call
            assert caught.value.code == "storage.request.url_too_long"
        else:
            call.close()
    assert wire.requests == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(max_size=30).filter(lambda text: "\0" not in text and text.isprintable()), max_size=30),
    st.integers(1, 6),
    st.integers(10, 200),
)
def test_chunks_hold_every_row_in_order_and_no_more_than_asked(names: list[str], max_rows: int, max_bytes: int) -> None:
    """Packing loses and reorders nothing, and only a single row may be larger than a chunk."""
    rows = [{"name": name} for name in names]
    chunks = list(pack_rows(rows, max_rows=max_rows, max_bytes=max_bytes))
    assert [row for chunk in chunks for row in msgspec.json.decode(chunk.content)] == rows
    assert all(1 <= chunk.count <= max_rows for chunk in chunks)
    assert all(len(chunk.content) <= max_bytes or chunk.count == 1 for chunk in chunks)


async def test_many_rows_go_in_chunks_and_a_failure_says_how_far_it_came() -> None:
    """A bulk insert sends chunk after chunk; when one fails, the error tells what was stored before."""
    db, wire = client(answer_json([]))
    assert await db.table("items").insert_many(({"id": number} for number in range(25)), max_rows=10) == 25
    assert [len(msgspec.json.decode(request.body)) for request in wire.requests if isinstance(request.body, bytes)] == [10, 10, 5]
    db, wire = client(answer_json([]))
    wire._script[:] = [answer_json([]), answer_json({"code": "23505", "message": "there"}, status=409)]
    with pytest.raises(ConflictError) as caught:
        await db.table("items").insert_many(({"id": number} for number in range(25)), on="id", max_rows=10)
    assert caught.value.__notes__ == ["10 rows were stored before this chunk of 10."]
    assert "on_conflict=id" in wire.requests[0].url
