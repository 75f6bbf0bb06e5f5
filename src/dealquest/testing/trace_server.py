"""A double of a PostgREST base with the two trace tables, on loopback: stores by id, and fails as a test says.

It is strict where PostgreSQL is: rows of one request have the same keys, no id stands twice in it, one bad row
refuses the whole request.
"""

import threading
import time
from collections.abc import Callable
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qs, urlsplit

import msgspec

from .loopback import Arrival, LoopbackServer, Reply, _Server

Weather: TypeAlias = Literal["fine", "503", "400", "401", "hang", "slow", "reply_lost", "429"]


class TraceTables(LoopbackServer):
    """Serves `pipeline_traces` and `pipeline_spans`.

    Args:
        port: A port to come back on, after an outage in which nothing listened.

    Attributes:
        weather: What happens to requests from now on.
        is_bad: Says whether a row is one that PostgreSQL would refuse (22001).
        received: Rows in accepted requests; more than stored when some came twice.
        slow_s: Delay of `slow`.
    """

    def __init__(self, port: int = 0) -> None:
        super().__init__()
        if port:
            self._server.server_close()
            self._server = _Server(("127.0.0.1", port), self)
            self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.weather: Weather = "fine"
        self.is_bad: Callable[[dict[str, Any]], bool] = lambda _: False
        self.tables: dict[str, dict[str, dict[str, Any]]] = {"pipeline_traces": {}, "pipeline_spans": {}}
        self.received = 0
        self.slow_s = 0.3
        self._rows_lock = threading.Lock()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def spans(self) -> dict[str, dict[str, Any]]:
        """Rows of `pipeline_spans` by id."""
        return self.tables["pipeline_spans"]

    @property
    def traces(self) -> dict[str, dict[str, Any]]:
        """Rows of `pipeline_traces` by id."""
        return self.tables["pipeline_traces"]

    def answer(self, arrival: Arrival) -> Reply:
        """Store, or fail as the weather is."""
        body = b"".join(arrival.chunks())
        weather = self.weather
        if weather in {"503", "400", "401", "429"}:
            headers = (("retry-after", "1"),) if weather == "429" else ()
            return Reply(status=int(weather), body=b'{"message": "weather"}', headers=headers)
        if weather == "hang":
            while self.weather == "hang" and not self.is_stopping:
                time.sleep(0.02)
            raise ConnectionError
        if weather == "slow":
            time.sleep(self.slow_s)
        reply = self._store(arrival, msgspec.json.decode(body))
        if weather == "reply_lost":
            raise ConnectionError
        return reply

    def _store(self, arrival: Arrival, rows: list[dict[str, Any]]) -> Reply:
        address = urlsplit(arrival.path)
        query = parse_qs(address.query)
        table = self.tables[address.path.strip("/")]
        key = query["on_conflict"][0]
        columns = query["columns"][0].split(",")
        if any(sorted(row) != sorted(columns) for row in rows):
            return _refuse("PGRST102", "All object keys must match")
        ids = [row[key] for row in rows]
        if len(set(ids)) < len(ids):
            return _refuse("21000", "ON CONFLICT DO UPDATE command cannot affect row a second time")
        if any(self.is_bad(row) for row in rows):
            return _refuse("22001", "value too long")
        merge = "merge-duplicates" in (arrival.header("prefer") or "")
        with self._rows_lock:
            self.received += len(rows)
            for row in rows:
                if merge or row[key] not in table:
                    table[row[key]] = row
        return Reply(status=201)


def _refuse(code: str, message: str) -> Reply:
    return Reply.json({"code": code, "message": message, "details": None, "hint": None}, status=400)
