"""The doubles refuse what the real peers refuse, and take a script in every form."""

import http.client
import json

import pytest

from dealquest.testing import ScriptedTransport, Step, answer_bytes
from dealquest.testing.trace_server import TraceTables
from dealquest.wire import HttpRequest

ASK = HttpRequest(method="GET", url="http://peer.test/")


async def test_a_script_may_think_before_it_answers() -> None:
    """A function of the request may be a coroutine; an exchange that was hung up twice is closed once."""

    async def think(request: HttpRequest) -> Step:
        return answer_bytes(request.method.encode())

    transport = ScriptedTransport(think, answer_bytes(b"whole"))
    assert (await transport.send(ASK)).body == b"GET"
    async with transport.stream(ASK) as answer:
        answer.abort()
        answer.abort()
        assert transport.open == 0
    assert (transport.open, transport.closed_early) == (0, 1)


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([{"span_id": "a", "x": 1}, {"span_id": "b"}], "PGRST102"),
        ([{"span_id": "a", "x": 1}, {"span_id": "a", "x": 2}], "21000"),
    ],
)
def test_tables_of_traces_refuse_what_postgrest_refuses(rows: list[dict[str, object]], code: str) -> None:
    """Rows of unequal columns, and one row twice in one request, are refused with PostgREST's codes, and nothing is stored."""
    with TraceTables() as tables:
        connection = http.client.HTTPConnection("127.0.0.1", tables.port, timeout=5)
        connection.request("POST", "/pipeline_spans?on_conflict=span_id&columns=span_id,x", json.dumps(rows))
        answer = connection.getresponse()
        assert answer.status >= 400
        assert json.loads(answer.read())["code"] == code
        connection.close()
        assert tables.spans == {}
