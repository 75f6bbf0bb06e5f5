"""A cluster of threads: money is shared out between shards, and a shard that is given up is a failure of each of its items."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from distributed import Client, LocalCluster

from dealquest import evals
from dealquest.llm import Provider, Route, Router
from dealquest.testing import ChatAnswer, ChatModels

SUITE = evals.load([{"id": f"case-{number}", "input": "Hello?", "reference": "yes"} for number in range(6)], name="six")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    """Two lanes in this process."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None, silence_logs=50) as made,
        Client(made) as client,
    ):
        yield client


def models(**options: Any) -> Router:
    """What each shard makes for itself: a router whose model answers at a known price."""
    route = Route(model="a/model", provider=Provider(name="openrouter", base_url="http://127.0.0.1:9/api/v1"))
    return Router([route], transport=ChatModels(lambda _: ChatAnswer(text="yes", cost_usd=0.03)), **options)


def no_models(**options: Any) -> Router:
    """What a worker without its environment comes to."""
    raise OSError("this machine has no key")


def run(client: Client, folder: Path, suite: evals.Suite = SUITE, **options: Any) -> evals.Run:
    options = {"scorers": [evals.exact()], "judge_check": 0, "progress": "none", "concurrency": 4, **options}
    return evals.run_sync(suite, executor=evals.DaskExecutor(client, shard_size=2), journal=folder / "run.jsonl", **options)


async def says(case: evals.Case) -> str:
    """A subject that asks nobody."""
    return f"yes, {case.id}"


def test_a_budget_is_shared_out_and_comes_back(cluster: Client, tmp_path: Path) -> None:
    """Shards spend from one budget; what one does not need another one has."""
    done = run(cluster, tmp_path, models=["a/model"], llm=models, budget_usd=0.4)
    assert done.is_finished
    assert (len(done.ledger.answers), done.failures(), done.cost_usd) == (6, [], Decimal("0.18"))


def test_a_budget_that_is_gone_ends_the_run(cluster: Client, tmp_path: Path) -> None:
    """Nothing is spent beyond it; what is left undone is not a failure, and a further run can do it."""
    done = run(cluster, tmp_path, models=["a/model"], llm=models, budget_usd=0.2)
    assert done.stopped is not None
    assert done.stopped.code == "llm.budget.exceeded"
    assert done.cost_usd <= Decimal("0.2")
    assert 0 < len(done.ledger.answers) < 6
    assert done.failures() == []


def test_a_shard_that_is_given_up_is_a_failure_of_its_items(cluster: Client, tmp_path: Path) -> None:
    """When the cluster cannot do a part, each of its answers says so, and the run goes on to its end."""
    asked = {"models": ["a/model"], "scorers": [evals.rubric("a/model")], "judge_check": 1, "llm": no_models}
    done = run(cluster, tmp_path, suite=evals.load("foundations").sample(4), **asked)
    assert done.is_finished
    assert {item.failure.code for item in done.failures()} == {"evals.executor.lost"}
    assert all(line.failure is not None for line in done.ledger.checks.values())
    assert done.ledger.checks


def test_a_run_that_is_done_sends_nothing(cluster: Client, tmp_path: Path) -> None:
    """Resuming a finished journal needs no shard."""
    first = run(cluster, tmp_path, subjects=[says])
    again = run(cluster, tmp_path, subjects=[says])
    assert first.ledger.answers == again.ledger.answers
