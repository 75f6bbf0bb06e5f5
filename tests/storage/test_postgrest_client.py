"""The builder: what is sent for each step, what comes back, and what is refused before it is sent."""

from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import msgspec
import pytest

from dealquest.errors import ConflictError, DealQuestError, InputError, LimitError, NotFoundError, PeerGarbledError, PeerRefusedError
from dealquest.storage import Postgrest, any_of, col, find_body, negate
from dealquest.testing import FrozenClock, ScriptedTransport, answer_bytes, answer_json
from dealquest.wire import HttpRequest


@attrs.frozen
class User:
    id: int
    name: str = ""


def client(*script: Any, **options: Any) -> tuple[Postgrest, ScriptedTransport]:
    clock = FrozenClock()
    transport = ScriptedTransport(*script, timer=clock, repeat=len(script) == 1)
    return Postgrest(transport, timer=clock, **options), transport


def shown(request: HttpRequest) -> tuple[str, str, dict[str, str], Any]:
    body = msgspec.json.decode(request.body) if isinstance(request.body, bytes) and request.body else None
    return request.method, request.url, dict(request.headers), body


def refusal(code: str, status: int, details: str | None = None) -> Any:
    return answer_json({"code": code, "message": "no", "details": details, "hint": None}, status=status)


INSFORGE_404 = answer_json({"error": "NOT_FOUND", "message": "no", "statusCode": 404, "nextActions": "look"}, status=404)


async def test_a_read_is_one_get_and_typed_rows() -> None:
    """Select, conditions, order and window become one GET; rows come back as the class asked for."""
    db, wire = client(answer_json([{"id": 1, "name": "a"}]))
    rows = await db.table("users").select("id", "name").where(age__gte=18, name__neq="x").order("-id").limit(5, offset=2).all(User)
    assert rows == [User(1, "a")]
    assert wire.requests[0].method == "GET"
    assert wire.requests[0].url == "/users?select=id,name&age=gte.18&name=neq.x&order=id.desc&limit=5&offset=2"


async def test_a_query_never_changes() -> None:
    """Each step is a new query: two branches of one do not see each other's conditions."""
    db, wire = client(answer_json([]))
    base = db.table("users").where(a=1)
    left, right = base.where(b=2), base.where(c=3)
    for query in (left, right, base):
        await query.all()
    assert [request.url for request in wire.requests] == ["/users?a=eq.1&b=eq.2", "/users?a=eq.1&c=eq.3", "/users?a=eq.1"]


async def test_one_row_means_one_row() -> None:
    """None is not found, two are a conflict, never the first of many and never a None for many."""
    db, _ = client(answer_json([]), answer_json([]), answer_json([{"id": 1}, {"id": 2}]), answer_json([{"id": 1}]))
    query = db.table("users").where(id=1)
    assert await query.one_or_none(User) is None
    with pytest.raises(NotFoundError) as missing:
        await query.one(User)
    assert missing.value.code == "storage.row_not_found"
    with pytest.raises(ConflictError) as many:
        await query.one_or_none(User)
    assert many.value.code == "storage.many_rows"
    assert await query.one(User) == User(1)


async def test_count_asks_for_no_rows() -> None:
    """A count is a HEAD, its answer the total in Content-Range."""
    db, wire = client(answer_bytes(b"", headers=(("content-range", "0-24/3573"),)))
    assert await db.table("users").where(id__gt=1).count("planned") == 3573
    assert wire.requests[0].method == "HEAD"
    assert ("prefer", "count=planned") in wire.requests[0].headers


async def test_a_page_has_its_total() -> None:
    """A window comes with the number of rows behind it."""
    db, _ = client(answer_json([{"id": 1}], status=206, headers=(("content-range", "0-0/7"),)))
    page = await db.table("users").select().limit(1).page(User)
    assert (page.rows, page.total) == ([User(1)], 7)


async def test_writes_say_what_they_want_back() -> None:
    """run() asks for nothing, all() and one() for the rows, count() for a number."""
    db, wire = client(answer_json([{"id": 1}], status=201, headers=(("content-range", "*/1"),)))
    users = db.table("users")
    await users.insert({"id": 1}).run()
    assert await users.insert([User(1), User(2)]).select("id").all(User) == [User(1)]
    assert await users.upsert(User(1, "a"), on="id").one(User) == User(1)
    assert await users.upsert({"id": 1}, on=("id", "name"), ignore=True).one_or_none(User) == User(1)
    assert await users.update({"name": "b"}).where(id=1).count() == 1
    await users.put(User(1, "z"), key="id").run()
    sent = [shown(request) for request in wire.requests]
    plain = {"accept": "application/json", "content-type": "application/json"}
    assert sent == [
        ("POST", "/users", plain | {"prefer": "return=minimal"}, {"id": 1}),
        ("POST", "/users?select=id", plain | {"prefer": "return=representation"}, [{"id": 1, "name": ""}, {"id": 2, "name": ""}]),
        (
            "POST",
            "/users?on_conflict=id",
            plain | {"prefer": "resolution=merge-duplicates, return=representation"},
            {"id": 1, "name": "a"},
        ),
        ("POST", "/users?on_conflict=id,name", plain | {"prefer": "resolution=ignore-duplicates, return=representation"}, {"id": 1}),
        ("PATCH", "/users?id=eq.1", plain | {"prefer": "return=minimal, count=exact"}, {"name": "b"}),
        ("PUT", "/users?id=eq.1", plain | {"prefer": "return=minimal"}, {"id": 1, "name": "z"}),
    ]


async def test_rows_with_different_columns_get_their_defaults() -> None:
    """In a bulk insert every column of any row is named, and a missing one takes its default."""
    db, wire = client(answer_json([], status=201))
    await db.table("users").insert([{"id": 1}, {"id": 2, "name": "b"}]).run()
    assert wire.requests[0].url == "/users?columns=id,name"
    assert ("prefer", "missing=default, return=minimal") in wire.requests[0].headers


@pytest.mark.parametrize("kind", ["nothing", "empty keywords", "not in nothing", "an or that is always true"])
@pytest.mark.parametrize("verb", ["update", "delete"])
async def test_q4_a_write_to_every_row_must_be_meant(kind: str, verb: str) -> None:
    """Update and delete without a condition, or with one that excludes nothing, are refused; everywhere=True says it is meant."""
    db, wire = client(answer_json([]))
    table = db.table("users")
    conditions: dict[str, tuple[Any, ...]] = {
        "nothing": (),
        "empty keywords": (),
        "not in nothing": (negate(col("id").in_([])),),
        "an or that is always true": (any_of(col("id").eq(1), negate(col("id").in_([]))),),
    }
    write = (table.update({"a": 1}) if verb == "update" else table.delete()).where(*conditions[kind])
    for send in (write.run, write.all, write.count, write.one):
        with pytest.raises(InputError) as caught:
            await send()
        assert caught.value.code == "storage.write.everywhere"
    assert wire.requests == []
    await (table.update({"a": 1}, everywhere=True) if verb == "update" else table.delete(everywhere=True)).run()
    assert len(wire.requests) == 1


async def test_q4_an_update_of_nothing_is_refused() -> None:
    """An update without a column is a mistake of the caller, not a request."""
    db, _ = client(answer_json([]))
    with pytest.raises(InputError) as caught:
        db.table("users").update({})
    assert caught.value.code == "storage.write.empty"


async def test_q4_max_affected_and_singular_writes_are_rolled_back_by_the_server() -> None:
    """max_affected and one() are said to the server, which undoes a write that touched more rows."""
    db, wire = client(answer_json({"id": 1}))
    assert await db.table("users").delete().where(id=1).max_affected(1).one(User) == User(1)
    headers = dict(wire.requests[0].headers)
    assert headers["prefer"] == "return=representation, handling=strict, max-affected=1"
    assert headers["accept"] == "application/vnd.pgrst.object+json"


async def test_q4_a_limit_is_no_guard_of_a_write() -> None:
    """A limit would not limit what a write touches, so it is refused, as are conditions of an insert."""
    db, wire = client(answer_json([]))
    table = db.table("users")
    for write in (table.delete().where(a=1).limit(5), table.update({"a": 1}).where(a=1).limit(5, offset=1), table.insert({}).limit(1)):
        with pytest.raises(InputError) as caught:
            await write.run()
        assert caught.value.code == "storage.write.limit"
    with pytest.raises(InputError) as inserted:
        await table.insert({"a": 1}).where(a=1).run()
    assert inserted.value.code == "storage.write.condition"
    assert wire.requests == []


async def test_q4_one_or_none_of_an_update_is_guarded_by_the_server() -> None:
    """An update that may touch one row at most says so, so that the server undoes a larger one."""
    db, wire = client(answer_json([{"id": 1}]))
    assert await db.table("users").update({"name": "x"}).where(id=1).one_or_none(User) == User(1)
    assert dict(wire.requests[0].headers)["prefer"] == "return=representation, handling=strict, max-affected=1"


async def test_an_upsert_never_resets_what_a_row_does_not_mention() -> None:
    """Rows with different columns are refused where they would update, and sent in groups when they are many."""
    uneven = [{"id": 1, "name": "a"}, {"id": 2}, {"id": 3}]
    db, wire = client(answer_json([]))
    with pytest.raises(InputError) as caught:
        db.table("users").upsert(uneven, on="id")
    assert caught.value.code == "storage.row.uneven"
    await db.table("users").upsert(uneven, on="id", ignore=True).run()
    assert await db.table("users").insert_many(uneven, on="id") == 3
    assert [request.url for request in wire.requests] == [
        "/users?columns=id,name&on_conflict=id",
        "/users?on_conflict=id",
        "/users?on_conflict=id",
    ]


async def test_a_dry_run_that_was_kept_is_told() -> None:
    """A server that ignores tx=rollback has done the write; the caller hears of it."""
    kept, _ = client(answer_json([], headers=(("preference-applied", "return=minimal"),)))
    with pytest.raises(PeerRefusedError) as caught:
        await kept.table("users").insert({"id": 1}).dry_run().run()
    assert caught.value.code == "storage.write.not_rolled_back"
    undone, wire = client(answer_json([], headers=(("preference-applied", "return=minimal, tx=rollback"),)))
    await undone.table("users").insert({"id": 1}).dry_run().run()
    assert dict(wire.requests[0].headers)["prefer"] == "return=minimal, tx=rollback"


async def test_the_rows_of_a_function_are_not_cut_silently() -> None:
    """A set that the server cut is an error after the one call, and the function is not called again to find out."""
    db, wire = client(answer_json([{"id": 1}], status=206, headers=(("content-range", "0-0/2"),)), row_limit=1)
    with pytest.raises(LimitError) as caught:
        await db.rpc("users_of").all(User)
    assert caught.value.code == "storage.rows_cut"
    assert await db.rpc("users_of").limit(1).all(User) == [User(1)]
    assert len(wire.requests) == 2


async def test_a_function_is_awaited() -> None:
    """An rpc is a POST of its arguments and its JSON value; void is None."""
    db, wire = client(answer_json({"turn": 3}), answer_bytes(b"", status=204), answer_json([{"id": 1}]))
    assert await db.rpc("commit_turn", turn={"id": 7}) == {"turn": 3}
    assert await db.rpc("nothing") is None
    assert await db.rpc("users_of", team=1).where(id__gt=0).order("id").all(User) == [User(1)]
    assert [shown(request)[1::2] for request in wire.requests] == [
        ("/rpc/commit_turn", {"turn": {"id": 7}}),
        ("/rpc/nothing", {}),
        ("/rpc/users_of?id=gt.0&order=id", {"team": 1}),
    ]


async def test_a_function_by_get_is_read_only_and_its_values_stay_values() -> None:
    """Arguments of a GET are text in the query; one that would turn into a filter is refused."""
    db, wire = client(answer_json(3))
    assert await db.rpc_get("add", a=1, b=[1, "x"], c=None).value(int) == 3
    assert (wire.requests[0].method, wire.requests[0].url) == ("GET", "/rpc/add?a=1&b=%7B1,%22x%22%7D")
    with pytest.raises(InputError):
        await db.rpc_get("echo", text="eq.1")


async def test_a_schema_is_asked_for_by_header() -> None:
    """The client's schema and a query's own become profile headers."""
    db, wire = client(answer_json([]), schema="api")
    await db.table("users").select().all()
    await db.rpc("f").schema("other").run()
    assert dict(wire.requests[0].headers)["accept-profile"] == "api"
    assert dict(wire.requests[1].headers)["content-profile"] == "other"


async def test_other_media() -> None:
    """CSV, plans and stripped nulls are media types; a proxy's re-encoded CSV is read all the same."""
    db, wire = client(answer_bytes(b"id\n1\n", content_type="text/csv"), answer_bytes(b"Seq Scan"), answer_json([]))
    assert await db.table("users").select().csv() == "id\n1\n"
    assert await db.table("users").select().explain("analyze", "verbose") == "Seq Scan"
    await db.table("users").select().strip_nulls().all()
    assert [dict(request.headers)["accept"] for request in wire.requests] == [
        "text/csv",
        'application/vnd.pgrst.plan+text;for="application/json";options=analyze|verbose',
        "application/vnd.pgrst.array+json;nulls=stripped",
    ]
    proxied, _ = client(answer_json("id\n1\n"), dialect="insforge")
    assert await proxied.table("users").select().csv() == "id\n1\n"


@pytest.mark.parametrize(
    ("answer", "error", "code"),
    [
        (refusal("23505", 409, details="Key (id)=(1)"), ConflictError, "storage.constraint.unique"),
        (refusal("42P01", 404), NotFoundError, "storage.relation_unknown"),
        (refusal("P0001", 400), InputError, "storage.raised"),
        (refusal("PT402", 402), InputError, "storage.refused"),
        (refusal("PGRST116", 406, details="The result contains 0 rows"), NotFoundError, "storage.row_not_found"),
        (refusal("PGRST116", 406, details="The result contains 2 rows"), ConflictError, "storage.many_rows"),
        (refusal("PGRST116", 406), NotFoundError, "storage.not_one_row"),
        (INSFORGE_404, NotFoundError, "storage.not_found"),
        (answer_bytes(b"<html>Bad gateway</html>", status=400), InputError, "storage.refused"),
        (answer_bytes(b"", status=404), NotFoundError, "storage.not_found"),
        (answer_bytes(b"<html>", status=200), PeerGarbledError, "storage.answer.not_json"),
        (answer_bytes(b"moved", status=302), PeerGarbledError, "storage.answer.unexpected"),
        (answer_json({"message": 3}, status=400), InputError, "storage.refused"),
        (answer_json([1], status=409), ConflictError, "storage.conflict"),
        (answer_bytes(b"", status=400, headers=(("proxy-status", "PostgREST; error=22P02"),)), InputError, "storage.value.unreadable"),
    ],
)
async def test_every_answer_is_a_typed_error(answer: Any, error: type[DealQuestError], code: str) -> None:
    """PostgREST's bodies, proxies' own, HTML, empty and odd answers each become one class with one code."""
    db, _ = client(answer)
    with pytest.raises(error) as caught:
        await db.table("users").select().all(User)
    assert caught.value.code == code
    assert "<html>" not in str(caught.value)
    assert "Key (id)" not in str(caught.value) + repr(find_body(caught.value))


async def test_details_are_there_for_who_asks() -> None:
    """What the server said stays with the error, its details out of message and repr."""
    db, _ = client(answer_json({"code": "23505", "message": "duplicate", "details": "Key (id)=(1)", "hint": "h"}, status=409))
    with pytest.raises(ConflictError) as caught:
        await db.table("users").insert({"id": 1}).run()
    body = find_body(caught.value)
    assert body is not None
    assert (body.code, body.details, body.hint, body.status) == ("23505", "Key (id)=(1)", "h", 409)


async def test_a_cut_answer_is_not_taken_for_the_whole() -> None:
    """An answer of exactly the server's row limit is checked by one more request, and a cut one is an error."""
    full = [{"id": number} for number in range(3)]
    cut, wire = client(answer_json(full), answer_json([{"id": 9}]), row_limit=3)
    with pytest.raises(LimitError) as caught:
        await cut.table("users").select().all(User)
    assert caught.value.code == "storage.rows_cut"
    assert wire.requests[1].url == "/users?limit=1&offset=3"
    whole, _ = client(answer_json(full), answer_json([]), row_limit=3)
    assert len(await whole.table("users").select().all(User)) == 3
    asked, wire = client(answer_json(full), row_limit=3)
    assert len(await asked.table("users").select().limit(3).all(User)) == 3
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "build",
    [
        lambda db: db.table("t").where(a__bogus=1),
        lambda db: db.table("t").select("a(b"),
        lambda db: db.table("t").order("a.sideways"),
        lambda db: db.table("t").where(col("a").any("in", [1])),
        lambda db: db.table("t").where(a__in="abc"),
        lambda db: db.table("t").where(a__is="maybe"),
        lambda db: db.table("t").select().limit(-1),
        lambda db: db.table("t").insert(3),
        lambda db: db.table("t").put({"a": 1}, key="id"),
    ],
)
async def test_mistakes_are_told_where_they_are_made(build: Callable[[Postgrest], Awaitable[Any]]) -> None:
    """A wrong operator, notation or row is refused while building, before anything is sent."""
    db, wire = client(answer_json([]))
    with pytest.raises(InputError):
        build(db)
    assert wire.requests == []


async def test_an_unknown_dialect_is_refused() -> None:
    """A dialect is one of a closed list."""
    with pytest.raises(InputError):
        client(dialect="mysql")
