"""SQL in every position of a request: it is refused by the grammar or stays a quoted name or a bound value (Q3)."""

import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from replay import ANN, CONFIG

from dealquest.errors import DealQuestError
from dealquest.storage.engine import Engine
from dealquest.storage.engine.incoming import Incoming, read_head
from dealquest.wire import HttpRequest

MARK = "zqx"
ATTACKS = [
    MARK,
    f"{MARK}'",
    f"''{MARK}'''",
    f'{MARK}"',
    f'"{MARK}"',
    f'"" or {MARK}',
    f"{MARK};drop table cinema.films--",
    f"1;delete from cinema.films where {MARK}=1",
    f"1) or pg_sleep(5) is null or ({MARK}",
    f"id) union select {MARK} from pg_authid--",
    f"(select {MARK} from pg_sleep(5))",
    f"{MARK}::text;--",
    f"{MARK}/*",
    f"*/{MARK}--\n",
    f"$1{MARK}",
    f"$${MARK}$$",
    f"\\{MARK}\\'",
    f"E'\\x27{MARK}",
    f"U&'\\0027{MARK}",
    f"\u02bc{MARK}\uff07",  # what a careless conversion folds into a plain quote
    f"%27{MARK}",
    f"{MARK}\x00'",
    f"{MARK},id,(id),*",
    f"{MARK}.desc.nullslast;",
]
SYNTAX = {"42601", "42P02", "42P18", "XX000", "PGRSTX00"}
BODY = b'{"id": 900}'

Position = Callable[[str], HttpRequest]


def get(query: str, path: str = "/films", method: str = "GET", body: bytes = b"", **headers: str) -> HttpRequest:
    listed = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return HttpRequest(method=method, url=f"{path}?{query}" if query else path, headers=listed, body=body)


def by_query(name: str, before: str = "", after: str = "", path: str = "/films") -> Position:
    return lambda text: get(f"{quote(name)}={quote(before + text + after)}", path)


POSITIONS: dict[str, Position] = {
    "order": by_query("order"),
    "order direction": by_query("order", "id."),
    "order of an embed": lambda text: get(f"select=id,directors(id)&directors.order={quote(text)}"),
    "limit": by_query("limit"),
    "offset": by_query("offset"),
    "limit of an embed": lambda text: get(f"select=id,directors(id)&directors.limit={quote(text)}"),
    "select": by_query("select"),
    "alias": by_query("select", "", ":id"),
    "cast": by_query("select", "id::"),
    "json path": by_query("select", "info->"),
    "json text": by_query("select", "info->>"),
    "aggregate": by_query("select", "id.", "()"),
    "embed": by_query("select", "", "(id)"),
    "hint": by_query("select", "directors!", "(id)"),
    "column": lambda text: get(f"{quote(text)}=eq.1"),
    "column of an embed": lambda text: get(f"select=id,directors(id)&directors.{quote(text)}=eq.1"),
    "operator": by_query("id", "", ".1"),
    "quantifier": by_query("title", "eq(", ").{x}"),
    "text search language": by_query("words", "fts(", ").x"),
    "value": by_query("title", "eq."),
    "value of a number": by_query("id", "eq."),
    "value of is": by_query("id", "is."),
    "list": by_query("title", "in.(", ")"),
    "pattern": by_query("title", "match."),
    "array": by_query("tags", "cs.{", "}"),
    "range": by_query("shown", "ov."),
    "logic": by_query("or", "(id.eq.1,", ")"),
    "logic value": by_query("or", "(title.eq.", ",id.eq.1)"),
    "on_conflict": lambda text: get(f"on_conflict={quote(text)}", "/actors", "POST", BODY, prefer="resolution=merge-duplicates"),
    "columns": lambda text: get(f"columns={quote(text)}", "/actors", "POST", BODY),
    "key of the body": lambda text: get("", "/actors", "POST", json.dumps({"id": 900, text: 1}).encode()),
    "keys of a bulk": lambda text: get("", "/actors", "POST", json.dumps([{"id": 900}, {text: 1}]).encode()),
    "value of the body": lambda text: get("", "/actors", "POST", json.dumps({"id": 900, "name": text}).encode()),
    "csv header": lambda text: get("", "/actors", "POST", f"id,{text}\n900,x".encode(), content_type="text/csv"),
    "form": lambda text: get("", "/actors", "POST", f"id=900&{quote(text)}=1".encode(), content_type="application/x-www-form-urlencoded"),
    "column of a change": lambda text: get("id=eq.1", "/actors", "PATCH", json.dumps({text: 1}).encode()),
    "table": lambda text: get("", "/" + quote(text, safe="")),
    "table after a good one": lambda text: get("", "/films" + quote(text, safe="")),
    "function": lambda text: get("", "/rpc/" + quote(text, safe="")),
    "argument": lambda text: get(f"{quote(text)}=1", "/rpc/add"),
    "value of an argument": by_query("v", path="/rpc/joined"),
    "argument of the body": lambda text: get("", "/rpc/add", "POST", json.dumps({"a": 1, text: 1}).encode()),
    "prefer": lambda text: get("", prefer=text),
    "prefer count": lambda text: get("", prefer=f"count={text}"),
    "prefer time zone": lambda text: get("", prefer=f"timezone={text}"),
    "prefer max-affected": lambda text: get("id=eq.1", "/actors", "DELETE", prefer=f"handling=strict, max-affected={text}"),
    "prefer strict": lambda text: get("", prefer=f"handling=strict, {text}"),
    "range header": lambda text: get("", range=text),
    "range end": lambda text: get("", range=f"0-{text}"),
    "range unit": lambda text: get("", range_unit=text, range="0-1"),
    "accept-profile": lambda text: get("", accept_profile=text),
    "content-profile": lambda text: get("", "/actors", "POST", BODY, content_profile=text),
    "accept": lambda text: get("", accept=text),
    "accept parameter": lambda text: get("", accept=f'application/vnd.pgrst.plan; for="{text}"'),
    "content-type": lambda text: get("", "/actors", "POST", BODY, content_type=text),
    "another header": lambda text: get("", x_any=text),
    "cookie": lambda text: get("", cookie=f"a={text}"),
    "method": lambda text: get("", method=text),
}

_QUOTED = re.compile(rb"\"(?:[^\"]|\"\")*\"|(?<!E)'(?:[^']|'')*'|E'(?:[^'\\]|''|\\.)*'", re.DOTALL)


def statement_of(engine: Engine, request: HttpRequest) -> bytes:
    """The SQL that a request becomes; empty when it becomes none."""
    path, _, query = request.url.partition("?")
    assert isinstance(request.body, bytes)
    try:
        plan, _ = engine._preparer._plan(Incoming(request.method, path, query, read_head(request.headers), request.body), None)
    except DealQuestError:
        return b""
    compiled = getattr(plan, "compiled", None)
    return b"" if compiled is None else compiled.sql + b" " + compiled.planned


def every_attack() -> Iterator[tuple[str, HttpRequest]]:
    for name, write in POSITIONS.items():
        for text in ATTACKS:
            yield name, write(text)


async def test_q3_no_position_of_a_request_is_sql(cinema: str) -> None:
    """Whatever stands anywhere: outside of quotes the statement is ours, no syntax error comes of it, and nothing is dropped or slept."""
    became_sql = 0
    async with await Engine.open(cinema, CONFIG) as engine:
        transport = engine.bind(ANN)
        before = await transport.send(get("select=count()"))
        for name, request in every_attack():
            sql = statement_of(engine, request)
            assert MARK.encode() not in _QUOTED.sub(b"", sql), (name, request, sql)
            became_sql += bool(sql)
            response = await transport.send(request)
            code = json.loads(response.body)["code"] if response.status >= 400 and response.body else ""
            assert response.status < 500, (name, request, response.body)
            assert code not in SYNTAX, (name, request, response.body)
        assert (await transport.send(get("select=count()"))).body == before.body
    assert became_sql > 300


@pytest.mark.parametrize(
    ("sql", "kept"),
    [(b"""select "a""b", 'c''d' from e""", b"select ,  from e"), (rb"select E'a\'b' || c", b"select  || c"), (b"zqx", b"zqx")],
)
def test_q3_what_is_looked_through_is_what_stands_outside_of_quotes(sql: bytes, kept: bytes) -> None:
    """The check above sees what is not quoted, and nothing else."""
    assert _QUOTED.sub(b"", sql) == kept
