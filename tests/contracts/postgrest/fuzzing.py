"""Requests made of scraps of the grammar and of SQL, for the promise that no request becomes a syntax error.

Alone: `python tests/contracts/postgrest/fuzzing.py DSN COUNT` on a database with `schema.sql`.
"""

import json
import random
import sys
from collections import Counter
from urllib.parse import quote

import anyio
from replay import CONFIG

from dealquest.storage.engine import Engine
from dealquest.values import Principal
from dealquest.wire import HttpRequest

# to_tsquery reads a bound value by a grammar of its own and calls its faults syntax errors, too.
TSQUERY = (b"in tsquery", b"no escaped character")
NAMES = [
    "id",
    "title",
    "year",
    "info",
    "tags",
    "directors",
    "films",
    "actors",
    "specs",
    "works",
    "nope",
    "*",
    '"x y"',
    'na"me',
    "é",
    "a;b",
    "--",
    "/*",
    "$1",
    "",
]
OPERATORS = [
    "eq",
    "neq",
    "gt",
    "lt",
    "gte",
    "lte",
    "like",
    "ilike",
    "match",
    "in",
    "is",
    "cs",
    "cd",
    "ov",
    "fts",
    "fts(english)",
    "fts(x'y)",
    "eq(any)",
    "not.eq",
    "sl",
    "adj",
    "isdistinct",
    "bad",
]
VALUES = [
    "1",
    "x",
    "null",
    "(1,2)",
    "{1,2}",
    "[1,2)",
    "'",
    '"',
    "\\",
    "');drop table x;--",
    "$1",
    "\x00",
    "%",
    "*",
    "a'b\"c",
    "(",
    ")",
    "(((",
    "1::int",
    "é𝄞",
    "-1",
    "99999999999999999999",
]
ARROWS = ["", "->a", "->>a", "->0", "->>-1", "->a->>b", "->'", '->"a b"', "->>", "->a)"]
CASTS = [
    "",
    "::text",
    "::int",
    "::numeric(10,2)",
    "::text[]",
    "::x;y",
    "::int)--",
    '::"',
    "::double precision",
    "::timestamp with time zone",
    "::bit varying(3)",
]
ALIASES = ["", "al:", '"q":']
TAILS = ["", ".desc", ".asc.nullslast", ".nullsfirst", ".drop", "(id)", "(id).desc", ".desc;"]
PATHS = [
    "/films",
    "/directors",
    "/recent",
    "/actors",
    "/notes",
    "/rpc/add",
    "/rpc/films_of",
    "/rpc/echo",
    "/rpc/joined",
    "/nope",
    "/",
    "/films'--",
    "/rpc/add;x",
    "/films%22%3Bselect%201--",
    "/rpc/add%27)%3B--",
    "/films%20or%201=1",
    "/%22films%22",
]
AGGREGATES = ["", ".sum()", ".count()", ".max()", ".avg()::int", ".drop()"]

# Most scraps fit, so that most requests get far.
NAMES = NAMES[:3] * 60 + NAMES[3:10] * 3 + NAMES
OPERATORS = OPERATORS[:6] * 12 + OPERATORS
VALUES = VALUES[:1] * 80 + VALUES
ARROWS = ARROWS[:1] * 80 + ARROWS
CASTS = CASTS[:3] * 20 + CASTS
TAILS = TAILS[:4] * 10 + TAILS
PATHS = PATHS[:1] * 40 + PATHS[:5] * 4 + PATHS
AGGREGATES = AGGREGATES[:1] * 12 + AGGREGATES


def make_request(chance: random.Random) -> HttpRequest:
    """One request, sensible in places."""
    pick = chance.choice

    def field() -> str:
        return pick(NAMES) + pick(ARROWS)

    def item(depth: int) -> str:
        if depth and chance.random() < 0.35:
            inner = ",".join(item(depth - 1) for _ in range(chance.randint(0, 3)))
            return f"{pick(['', '...', 'a:'])}{pick(NAMES)}{pick(['', '!inner', '!left', '!id', '!x!inner'])}({inner})"
        return f"{pick(ALIASES)}{field()}{pick(CASTS)}{pick(AGGREGATES)}"

    def condition(depth: int) -> str:
        if depth and chance.random() < 0.3:
            return f"{pick(['and', 'or', 'not.and', 'not.or'])}({','.join(condition(depth - 1) for _ in range(chance.randint(0, 3)))})"
        return f"{field()}.{pick(OPERATORS)}.{pick(VALUES)}"

    pairs = []
    if chance.random() < 0.6:
        pairs.append(("select", ",".join(item(2) for _ in range(chance.randint(0, 3)))))
    inside = [*[""] * 20, "films.", "directors."]
    pairs += [(pick(inside) + field(), f"{pick(OPERATORS)}.{pick(VALUES)}") for _ in range(chance.randint(0, 3))]
    if chance.random() < 0.3:
        word = pick(["or", "and", "not.or", "not.and", "or", "films.or"])
        pairs.append((word, f"({','.join(condition(2) for _ in range(chance.randint(0, 3)))})"))
    if chance.random() < 0.3:
        pairs.append(("order", ",".join(field() + pick(TAILS) for _ in range(chance.randint(1, 2)))))
    rare = ("limit", "offset", "columns", "on_conflict", "films.limit")
    pairs += [(name, pick([*VALUES, *NAMES])) for name in rare if chance.random() < 0.1]
    query = "&".join(f"{quote(name, safe='*.>()!:')}={quote(value, safe='*.,()!:>')}" for name, value in pairs)
    method = pick(["GET", "GET", "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"])
    body = b""
    if method in {"POST", "PATCH", "PUT"}:
        body = pick(
            [
                b"",
                b"{}",
                b"[]",
                b"[{}]",
                b"1",
                b"{",
                json.dumps({pick(NAMES): pick(VALUES), "id": 900}).encode(),
                json.dumps([{"id": 901, pick(NAMES): 1}]).encode(),
            ]
        )
    headers = [
        (
            "prefer",
            pick(
                [
                    "return=representation",
                    "count=exact",
                    "resolution=merge-duplicates, return=headers-only",
                    "missing=default",
                    "timezone=x'y",
                    "count=planned",
                    f"handling=strict, max-affected={pick(VALUES)}",
                    f"handling=lenient, {pick(VALUES)}",
                    f"resolution={pick(VALUES)}, columns={pick(NAMES)}",
                ]
            ),
        )
    ]
    headers.append(
        (
            "accept",
            pick(["*/*", "text/csv", "application/vnd.pgrst.object+json", "application/vnd.pgrst.plan", "x/y", "application/x-lines"]),
        )
    )
    if chance.random() < 0.1:
        headers.append(("range", pick(["0-1", "1-0", "x", "0-99999999999999999999", f"0-{pick(VALUES)}", pick(VALUES)])))
    if chance.random() < 0.1:
        headers.append((pick(["accept-profile", "content-profile"]), pick(["cinema", "archive", "hidden", *VALUES, *NAMES])))
    return HttpRequest(method=method, url=pick(PATHS) + ("?" + query if query else ""), headers=tuple(headers), body=body)


async def fuzz(dsn: str, count: int, seed: int) -> Counter[str]:
    """Send requests; how often each status and code came. A failure that is no answer is raised."""
    chance = random.Random(seed)
    seen: Counter[str] = Counter()
    async with await Engine.open(dsn, CONFIG) as engine:
        transport = engine.bind(Principal(role="authenticated", subject="ann"))
        for _ in range(count):
            request = make_request(chance)
            response = await transport.send(request)
            code = json.loads(response.body).get("code", "") if response.status >= 300 and response.body.startswith(b"{") else ""
            seen[f"{response.status} {code}"] += 1
            if code in {"42601", "XX000", "PGRSTX00", "42P02", "42P18"} and not any(words in response.body for words in TSQUERY):
                raise AssertionError(f"{request.method} {request.url} {request.headers} {request.body!r}: {response.body.decode()}")
    return seen


if __name__ == "__main__":
    for key, times in anyio.run(fuzz, sys.argv[1], int(sys.argv[2]), 1).most_common():
        sys.stdout.write(f"{times:8} {key}\n")
