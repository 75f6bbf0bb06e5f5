"""Kills and what they cost, by count of span ids: real processes, kill -9, restart (P12, K3)."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dealquest.testing.trace_server import TraceTables
from dealquest.tracing import Collector, Limits, PostgrestSink, Tracer, installed_tracer, trace

EMITTER = Path(__file__).with_name("emitter.py")
FAST = Limits(export_interval_s=0.02, tick_s=0.005)
ROUNDS = 4
TICK_S = 0.020


def kill_after(seconds: float, spool: Path, durability: str, url: str, *, rate: int = 500) -> tuple[list[tuple[str, float]], float]:
    """Run the emitter, kill it; the ids it acknowledged with their times, and the time of the kill."""
    command = [sys.executable, str(EMITTER), str(spool), durability, url, str(rate), "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(seconds)
        killed_at = time.monotonic()
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read()
    lines = [line.split() for line in (first + rest).splitlines() if line.count(" ") == 1 and line.count(".") == 1]
    return [(parts[0], float(parts[1])) for parts in lines], killed_at


def recover(spool: Path, url: str, *, timeout_s: float = 10.0) -> None:
    """A new process's start: adopts what the dead one left and delivers it."""
    with Collector([PostgrestSink.over_http(url)], spool=spool, limits=FAST) as collector:
        time.sleep(0.1)
        assert collector.flush(timeout_s) == {}
        assert collector.read_accounts()["postgrest"].balanced


@pytest.mark.parametrize("weather", ["fine", "503"])
def test_k3_kill_9_loses_nothing_in_span_mode(tmp_path: Path, weather: str) -> None:
    """Every span whose end had returned is in the sink after a restart, once."""
    rng = random.Random(7)
    for number in range(ROUNDS):
        spool = tmp_path / str(number)
        with TraceTables() as tables:
            tables.weather = weather  # type: ignore[assignment]  # one of its literals
            acknowledged, _ = kill_after(rng.uniform(0.1, 0.6), spool, "span", tables.base_url)
            tables.weather = "fine"
            recover(spool, tables.base_url)
            lost = {span_id for span_id, _ in acknowledged} - set(tables.spans)
            assert len(acknowledged) > 20
            assert lost == set()
            (row,) = tables.traces.values()
            assert (row["status"], row["end_time"]) == ("unset", None)


def test_k3_kill_9_loses_at_most_a_tick_in_tick_mode(tmp_path: Path) -> None:
    """What is lost ended within the last tick before the kill; a busy machine may stretch the tick, so the median counts."""
    rng = random.Random(8)
    ages = []
    for number in range(ROUNDS + 1):
        spool = tmp_path / str(number)
        with TraceTables() as tables:
            acknowledged, killed_at = kill_after(rng.uniform(0.1, 0.6), spool, "tick", tables.base_url)
            recover(spool, tables.base_url)
            lost = [at for span_id, at in acknowledged if span_id not in tables.spans]
            ages.append(killed_at - min(lost, default=killed_at))
            assert len(lost) < 100
    assert sorted(ages)[len(ages) // 2] <= TICK_S + 0.015


def test_two_processes_share_a_spool_folder(tmp_path: Path) -> None:
    """A living and a killed process in one folder: the survivor's successor delivers both, once."""
    with TraceTables() as tables:
        tables.weather = "503"
        collector = Collector([PostgrestSink.over_http(tables.base_url)], spool=tmp_path, limits=FAST)
        with collector, installed_tracer(Tracer(collector)):
            with trace("own"):
                pass
            acknowledged, _ = kill_after(0.2, tmp_path, "span", tables.base_url)
            collector.flush(0.1)
            assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2
            tables.weather = "fine"
        recover(tmp_path, tables.base_url)
        assert {span_id for span_id, _ in acknowledged} <= set(tables.spans)
        assert len(tables.traces) == 2
        assert [path for path in tmp_path.iterdir() if path.is_dir()] == []
