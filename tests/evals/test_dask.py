"""A cluster of processes: shards go out, one journal comes back, also when a worker is killed in the middle."""

import subprocess
import sys
from pathlib import Path

import pytest

from dealquest import evals
from dealquest.errors import InputError
from dealquest.evals.access import Access
from dealquest.evals.dask_executor import DaskExecutor, _divide
from dealquest.evals.performing import Work

SCRIPT = '''
"""Runs in a process of its own: clusters start processes, and their libraries warn as they like."""
import os, signal, sys, threading, time
from pathlib import Path

import anyio
from distributed import Client, LocalCluster

from dealquest import evals


async def slow(case):
    await anyio.sleep(0.02)
    return f"Hello? {os.getpid()}"


def kill_a_worker(client, journal):
    """Once a fifth of the answers is there."""
    while not journal.exists() or journal.read_bytes().count(b'"t":"answer"') < 60:
        time.sleep(0.01)
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)


if __name__ == "__main__":
    journal = Path(sys.argv[1])
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        killer = threading.Thread(target=kill_a_worker, args=(client, journal))
        killer.start()
        run = evals.run_sync("en", subjects=[evals.subject(slow, version="1")], scorers=[evals.signals(), evals.regex("Hello")], repeats=6,
                             executor=evals.DaskExecutor(client, shard_size=10), concurrency=8, judge_check=3, journal=journal,
                             progress="none")
        killer.join()
        print(run.is_finished, len(run.failures()), len({row["answer"] for row in run.to_rows()}) > 1)
'''


def test_a_killed_worker_costs_no_answer(tmp_path: Path) -> None:
    """Every sample is there once, with all its scores, from more than one process, in one journal."""
    script, journal = tmp_path / "cluster.py", tmp_path / "run.jsonl"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, str(script), str(journal)], capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout.split() == ["True", "0", "True"], done.stderr[-3000:]
    run = evals.read(journal)
    assert run.ledger.damaged == 0
    lines = journal.read_bytes().splitlines()
    keys = [line for line in lines if line.startswith(b'{"t":"answer"')]
    assert len(keys) == len(run.ledger.answers) == 52 * 6
    assert len(run.ledger.scores) == 2 * 52 * 6
    assert len(run.ledger.checks) == 9


class Unconnected:
    """Stands for a client where none is asked."""

    asynchronous = False


async def test_a_router_does_not_travel(tmp_path: Path) -> None:
    """What holds sockets and keys is refused before anything is sent."""
    from dealquest.llm import Provider, Route, Router
    from dealquest.testing import ChatModels

    llm = Router(
        [Route(model="a/m", provider=Provider(name="openrouter", base_url="http://127.0.0.1:9"))], transport=ChatModels(lambda _: "x")
    )
    with pytest.raises(InputError) as caught:
        await evals.run(
            "foundations",
            models=["a/m"],
            llm=llm,
            executor=DaskExecutor(Unconnected()),
            journal=tmp_path / "run.jsonl",
            progress="none",
        )
    assert caught.value.code == "evals.executor.router"


def test_clients_and_sizes_that_cannot_work_are_refused() -> None:
    """An asynchronous client and an empty shard are input errors."""
    client = Unconnected()
    with pytest.raises(InputError) as caught:
        DaskExecutor(client, shard_size=0)
    assert caught.value.code == "evals.executor.size"
    client.asynchronous = True
    with pytest.raises(InputError) as caught:
        DaskExecutor(client)
    assert caught.value.code == "evals.executor.client"


def test_limits_are_shared_out() -> None:
    """The shards together do not exceed what one process may do."""
    work = Work(
        subjects=(),
        scorers=(),
        concurrency=10,
        limits={"m": evals.ModelLimit(concurrent=9, per_minute=60)},
        access=Access(is_needed=False, calls_at_once=1),
    )
    part = _divide(work, 4)
    assert (part.concurrency, part.limits["m"]) == (2, evals.ModelLimit(concurrent=2, per_minute=15))
