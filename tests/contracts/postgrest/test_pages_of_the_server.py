"""What the pages say of schemas, execution plans and aggregates (schemas, observability, aggregate_functions)."""

import attrs
from replay import Case, ask, replay
from test_pages_of_tables import CONFIG

from dealquest.storage.engine import Engine

BOTH = attrs.evolve(CONFIG, db_schemas=("fair", "cinema"))


async def test_profiles(fair: str) -> None:
    """Reads are told their schema by Accept-Profile, everything else by Content-Profile, functions and the root as well."""
    reads, writes = {"accept-profile": "cinema"}, {"content-profile": "cinema"}
    await replay(
        fair,
        [
            Case("GET /films?select=id&id=eq.1", [{"id": 1}], headers=reads, shows={"content-profile": "cinema"}),
            Case("HEAD /films", headers=reads, shows={"content-profile": "cinema"}),
            Case("GET /films", status=404, headers=writes),
            Case("POST /actors", status=404, body={"id": 71}, headers=reads),
            Case("POST /actors", "", 201, {"id": 71}, headers=writes),
            Case("PUT /actors?id=eq.71", "", 204, {"id": 71}, headers=writes),
            Case("PATCH /films?id=eq.1", "", 204, {"year": 1999}, headers=writes),
            Case("DELETE /actors?id=eq.71", "", 204, headers=writes),
            Case("POST /rpc/all_books", status=404, body={}, headers=writes),
            Case("POST /rpc/all_books?select=id&id=eq.1", [{"id": 1}], 200, {}, headers=reads, shows={"content-profile": "fair"}),
            Case("GET /rpc/all_books?select=id&id=eq.1", [{"id": 1}], headers=writes),
            Case("GET /rpc/all_books", status=404, headers=reads),
            Case("HEAD /", headers=reads, shows={"content-profile": "cinema"}),
        ],
        attrs.evolve(BOTH, db_tx_end="rollback"),
    )
    async with await Engine.open(fair, BOTH) as engine:
        paths = [(await ask(engine, Case("GET /", headers=headers))).body for headers in ({}, reads)]
    assert [b'"/books"' in body for body in paths] == [True, False]
    assert [b'"/films"' in body for body in paths] == [False, True]


async def test_plans(fair: str) -> None:
    """EXPLAIN has the options that are named, in its own order; what PostgreSQL refuses stays refused; and nobody asks it unless told."""
    kind = "application/vnd.pgrst.plan"

    def plan(options: str, told: str | None = None, status: int = 200, line: str = "GET /books") -> Case:
        shown = f'{kind}+text; for="application/json"; options={told or options}; charset=utf-8' if status == 200 else None
        shows = {"content-type": shown} if shown else {}
        return Case(line, status=status, headers={"accept": f"{kind}; options={options}"}, shows=shows)

    cases = [
        *(plan(options) for options in ("analyze", "verbose", "settings", "buffers", "analyze|wal")),
        plan("wal|buffers|analyze|else", "analyze|buffers|wal"),
        plan("wal", status=400),
        plan("analyze", line="DELETE /covers?id=eq.1"),
        plan("analyze", line="GET /rpc/all_books"),
    ]
    await replay(fair, cases, attrs.evolve(CONFIG, db_plan_enabled=True, db_tx_end="rollback"))
    await replay(fair, [plan("analyze", status=406)], CONFIG)


async def test_groups(fair: str) -> None:
    """A count of a column leaves out its nulls; rows that a function gave or a write touched are aggregated as those of a table."""
    full = {"prefer": "return=representation"}
    await replay(
        fair,
        [
            Case("GET /books?select=count(),known:author_id.count()", [{"count": 4, "known": 3}]),
            Case("GET /books?select=notes->>pages::int.sum()", [{"sum": 97}]),
            Case("GET /authors?select=name,books(last:id.max()::text)&id=eq.1", [{"name": "Ann", "books": [{"last": "2"}]}]),
            Case(
                "GET /books?select=author_id,count()&order=author_id.desc.nullslast&limit=2",
                [{"author_id": 2, "count": 1}, {"author_id": 1, "count": 2}],
            ),
            Case("GET /books?select=initial.max()", [{"max": "W"}]),
            Case("GET /rpc/all_books?select=count()", [{"count": 4}]),
            Case("PATCH /books?select=count()&id=lt.3", [{"count": 2}], 200, {"rated": True}, headers=full),
            Case("GET /books?select=title.median()", status=400),
        ],
        attrs.evolve(CONFIG, db_aggregates_enabled=True, db_tx_end="rollback"),
    )
