"""Cases as data: a request, and what PostgREST's documentation says of its answer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from dealquest.storage.engine import Engine, EngineConfig
from dealquest.values import Principal
from dealquest.wire import HttpRequest, HttpResponse

ANN = Principal(role="authenticated", subject="ann")
CONFIG = EngineConfig(
    db_schemas=("cinema",), db_anon_role="anon", db_tx_end="rollback-allow-override", db_aggregates_enabled=True, db_plan_enabled=True
)
ANY = object()


@attrs.frozen
class Case:
    """`GET /path` and what it gives; `rows` is the body as JSON, text for other media, ANY for whatever."""

    line: str
    rows: Any = ANY
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = attrs.field(factory=dict, kw_only=True)
    shows: Mapping[str, str | None] = attrs.field(factory=dict, kw_only=True)


async def ask(engine: Engine, case: Case, principal: Principal = ANN) -> HttpResponse:
    method, _, url = case.line.partition(" ")
    body = case.body if isinstance(case.body, bytes) else b"" if case.body is None else json.dumps(case.body).encode()
    return await engine.bind(principal).send(HttpRequest(method=method, url=url, headers=tuple(case.headers.items()), body=body))


def judge(case: Case, response: HttpResponse) -> str | None:
    """What is wrong with an answer, or None."""
    shown = response.body.decode()
    if response.status != case.status:
        return f"{case.line}: {response.status} instead of {case.status}: {shown}"
    for name, wanted in case.shows.items():
        if response.header(name) != wanted:
            return f"{case.line}: {name} is {response.header(name)!r} instead of {wanted!r}"
    if case.rows is ANY:
        return None
    found = shown if isinstance(case.rows, str) else json.loads(shown)
    return None if found == case.rows else f"{case.line}: {found!r} instead of {case.rows!r}"


async def replay(dsn: str, cases: Sequence[Case], config: EngineConfig = CONFIG, principal: Principal = ANN) -> None:
    """Run the cases twice on one engine, planned anew and from the known shape; every wrong answer is told."""
    async with await Engine.open(dsn, config) as engine:
        wrong = [judge(case, await ask(engine, case, principal)) for _ in range(2) for case in cases]
    told = [text for text in wrong if text is not None]
    assert not told, "\n".join(told)
