"""Runs: what is asked, what is kept, what is never done twice."""

import sys
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import anyio
import msgspec
import pytest

from dealquest import evals
from dealquest.errors import ConflictError, InputError, NotFoundError, SettingsError
from dealquest.llm import Provider, Route, Router
from dealquest.testing import ChatAnswer, ChatModels, ChatQuestion, FrozenClock, judge_by

SUITE = evals.load("foundations")
PROVIDER = Provider(name="openrouter", base_url="http://127.0.0.1:9/api/v1")
QUIET = {"progress": "none", "judge_check": 0}


def router_over(models: ChatModels) -> Callable[..., Router]:
    """A maker of routers that ask these models."""
    return partial(Router, [Route(model="a/model", provider=PROVIDER)], transport=models)  # type: ignore[arg-type]  # a transport


def always(text: str, **circumstances: float) -> Callable[[ChatQuestion], ChatAnswer]:
    """Models that say one thing."""
    return lambda question: ChatAnswer(text=text, **circumstances)  # type: ignore[arg-type]  # numbers as the class has them


async def test_every_model_answers_every_case_as_often_as_asked(tmp_path: Path) -> None:
    """Cases x models x repeats answers, each asked once, each with points, each with its cost."""
    models = ChatModels(always("What does the queue cost you a day? Shall we talk on Tuesday at nine?"))
    run = await evals.run(SUITE, models=["a/model", "b/model"], repeats=2, llm=router_over(models), journal=tmp_path / "run.jsonl", **QUIET)
    assert models.asked == {"a/model": 12, "b/model": 12}
    assert len(run.to_rows()) == 24
    assert run.cost_usd == Decimal("0.024")
    assert run.stopped is None
    assert run.is_finished
    assert [row.points.n for row in run.table()] == [12, 12]
    assert run.models_served == {"a/model": 12, "b/model": 12}


async def test_the_judge_is_the_bots_own_and_its_total_is_computed(tmp_path: Path) -> None:
    """A rubric score is the sum of the criteria, with quotes that stand in the answer."""

    def answer(question: ChatQuestion) -> ChatAnswer | str:
        if question.model == "judge/model":
            return judge_by(lambda _: 0.5)(question)
        return "The lorries down your lane every morning: what do they cost you? Shall we look at it on Tuesday at nine together?"

    models = ChatModels(answer)
    run = await evals.run(
        SUITE, models=["a/model"], scorers=[evals.rubric("judge/model")], llm=router_over(models), journal=tmp_path / "run.jsonl", **QUIET
    )
    line = run.case("learn_1_1").scores_of(run.case("learn_1_1").answers[0])[0]
    assert line.points == sum(part.points for part in line.parts)
    assert all(part.quote in run.case("learn_1_1").answers[0].text for part in line.parts)
    assert models.asked["judge/model"] == 6


async def test_a_judge_that_answers_nonsense_is_missing_and_not_zero(tmp_path: Path) -> None:
    """No verdict is no score: it is counted as missing, named with its code, and left out of the mean."""

    def answer(question: ChatQuestion) -> str:
        return "utter nonsense" if question.model == "judge/model" else "A good answer to the buyer."

    run = await evals.run(
        SUITE,
        models=["a/model"],
        scorers=[evals.rubric("judge/model"), evals.signals()],
        llm=router_over(ChatModels(answer)),
        journal=tmp_path / "run.jsonl",
        **QUIET,
    )
    rubric = run.table("rubric")[0]
    assert (rubric.points.value, rubric.points.n, rubric.points.missing, rubric.unscored) == (None, 0, 6, 6)
    assert {item.failure.code for item in run.failures()} == {"llm.output.invalid"}
    assert run.table("signals")[0].points.n == 6
    assert "6 x llm.output.invalid while scoring: missing, not counted as zero" in repr(run)


async def test_a_model_that_is_gone_fails_case_by_case(tmp_path: Path) -> None:
    """The other model's numbers stand, the lost ones are counted, and the mean has bounds."""

    def answer(question: ChatQuestion) -> ChatAnswer:
        return ChatAnswer(text="no such model", status=404) if question.model == "gone/model" else ChatAnswer(text="Hello there.")

    run = await evals.run(
        SUITE, models=["a/model", "gone/model"], llm=router_over(ChatModels(answer)), journal=tmp_path / "run.jsonl", **QUIET
    )
    rows = {row.subject: row for row in run.table()}
    assert (rows["gone/model"].failed, rows["a/model"].failed) == (6, 0)
    assert rows["gone/model"].points.bounds == (0.0, 100.0)
    assert all(item.failure.code.startswith("llm.") for item in run.failures())
    assert not run.gate(min_score=0)


async def test_a_scorer_that_raises_is_reported_for_each_case(tmp_path: Path) -> None:
    """One scorer's fault costs nobody else's points."""

    async def hello(case: evals.Case) -> str:
        return f"Hello to {case.id}"

    def broken(case: evals.Case, answer: evals.Answer) -> float:
        if case.id == "learn_1_2":
            raise KeyError("weight")
        return 80.0

    run = await evals.run(
        SUITE, subjects=[hello], scorers=[evals.scorer(broken), evals.regex("Hello")], journal=tmp_path / "run.jsonl", **QUIET
    )
    assert [(item.case, item.failure.code, item.failure.message) for item in run.failures()] == [
        ("learn_1_2", "evals.scorer.raised", "KeyError: 'weight'")
    ]
    assert [row.points.n for row in run.table()] == [5, 6]


@pytest.mark.parametrize("given", [float("nan"), 101.0, -1, "many"])
async def test_points_that_are_none_never_reach_a_mean(tmp_path: Path, given: object) -> None:
    """What is no number from 0 to 100 is a failure of the scorer."""

    async def hello(case: evals.Case) -> str:
        return "Hello"

    run = await evals.run(
        SUITE, subjects=[hello], scorers=[evals.scorer(lambda case, answer: given, name="odd")], journal=tmp_path / "run.jsonl", **QUIET
    )
    assert len(run.failures()) == 6
    assert run.table()[0].points.n == 0


async def test_a_budget_ends_a_run_before_it_is_overspent_and_resuming_goes_on(tmp_path: Path) -> None:
    """The money is reserved before a call is sent; what was paid for is not paid for again."""
    journal = tmp_path / "run.jsonl"
    models = ChatModels(always("Hello.", cost_usd=0.0006))
    run = await evals.run(
        SUITE, models=["openai/gpt-oss-120b"], llm=router_over(models), journal=journal, budget_usd=0.003, concurrency=4, **QUIET
    )
    assert run.stopped is not None
    assert run.stopped.code == "llm.budget.exceeded"
    assert 0 < len(models.questions) < 6
    assert run.cost_usd == Decimal("0.0006") * len(models.questions) <= Decimal("0.003")
    assert not run.gate()
    asked = len(models.questions)
    more = await evals.resume(journal, llm=router_over(models), progress="none")
    assert more.is_finished
    assert more.stopped is None
    assert len(models.questions) == 6
    assert more.cost_usd == Decimal("0.0006") * 6
    assert asked < 6


async def test_a_finished_run_is_read_and_resumed_without_asking(tmp_path: Path) -> None:
    """Reading needs no network, and resuming what is finished asks nobody."""
    journal = tmp_path / "run.jsonl"
    models = ChatModels(always("Hello."))
    run = await evals.run(SUITE, models=["a/model"], llm=router_over(models), journal=journal, **QUIET)
    again = await evals.resume(journal, llm=router_over(models), progress="none")
    assert len(models.questions) == 6
    assert again.table() == run.table() == evals.read(journal).table()
    assert repr(evals.read(journal)) == repr(run)


async def test_new_scorers_score_old_answers_without_model_calls(tmp_path: Path) -> None:
    """Recorded answers of one run are the subject of the next."""
    models = ChatModels(always("Hello? Tuesday?"))
    run = await evals.run(SUITE, models=["a/model"], llm=router_over(models), journal=tmp_path / "one.jsonl", **QUIET)
    answers = {row["case"]: row["answer"] for row in run.to_rows()}
    second = await evals.run(
        SUITE, subjects=[evals.recorded(answers, name="a/model")], scorers=[evals.regex(r"\?")], journal=tmp_path / "two.jsonl", **QUIET
    )
    assert second.table()[0].points.value == 100.0
    assert len(models.questions) == 6


async def test_a_journal_takes_no_other_plan(tmp_path: Path) -> None:
    """Another prompt under the same file name is refused, and says what changed."""
    journal = tmp_path / "run.jsonl"
    llm = router_over(ChatModels(always("Hello.")))
    await evals.run(SUITE, models=["a/model"], prompts={"v1": "Be brief."}, llm=llm, journal=journal, **QUIET)
    with pytest.raises(ConflictError, match=r"the subject 'a/model · v1'") as caught:
        await evals.run(SUITE, models=["a/model"], prompts={"v1": "Be long."}, llm=llm, journal=journal, **QUIET)
    assert caught.value.code == "evals.resume.changed"


async def test_a_function_must_be_given_again_to_resume(tmp_path: Path) -> None:
    """A journal holds no code: it says which function it misses, and takes it."""

    async def hello(case: evals.Case) -> str:
        return "Hello"

    journal = tmp_path / "run.jsonl"
    await evals.run(SUITE, subjects=[hello], journal=journal, **QUIET)
    with pytest.raises(InputError, match="hello") as caught:
        await evals.resume(journal, progress="none")
    assert caught.value.code == "evals.resume.missing"
    assert (await evals.resume(journal, subjects=[hello], progress="none")).is_finished


async def test_failed_answers_are_asked_again_on_resume(tmp_path: Path) -> None:
    """A server that was down for a while leaves no hole behind."""
    journal = tmp_path / "run.jsonl"
    down = True

    def answer(question: ChatQuestion) -> ChatAnswer:
        return ChatAnswer(status=400, text="no") if down else ChatAnswer(text="Hello.")

    llm = router_over(ChatModels(answer))
    first = await evals.run(SUITE, models=["a/model"], llm=llm, journal=journal, **QUIET)
    assert len(first.failures()) == 6
    down = False
    second = await evals.resume(journal, llm=llm, progress="none")
    assert second.failures() == []
    assert second.table()[0].points.n == 6


async def test_limits_of_a_model_hold(tmp_path: Path) -> None:
    """No more calls of a model are under way than its own limit lets through."""
    models = ChatModels(always("Hello.", after_s=0.01))
    await evals.run(
        SUITE,
        models=["a/model"],
        repeats=3,
        concurrency=12,
        limits={"a/model": evals.ModelLimit(concurrent=2)},
        llm=router_over(models),
        journal=tmp_path / "run.jsonl",
        **QUIET,
    )
    assert models.most_at_once == 2


async def test_calls_are_spread_over_the_minute() -> None:
    """A rate limit spaces calls evenly, and the waiting is told apart from the answering."""
    from dealquest.evals.metering import Gates, Meter

    clock = FrozenClock()
    meter = Meter(Router([Route(model="a/model", provider=PROVIDER)], transport=ChatModels(always("Hello."))),
                  Gates({"a/model": evals.ModelLimit(per_minute=30)}, clock))  # fmt: skip
    for _ in range(4):
        await meter.ask("Hello?", model="a/model")
    assert clock.monotonic() == pytest.approx(6.0)
    assert [call.wait_s for call in meter.calls] == pytest.approx([0, 2, 2, 2])


async def test_answers_are_kept_on_disk_and_replayed(tmp_path: Path) -> None:
    """A second run with the same folder asks nobody and costs nothing; a replay works without any transport; repeats stay apart."""
    numbered = ChatModels(lambda question: f"Answer number {question.number}.")
    kept = {"cache": tmp_path / "cache", "repeats": 2}

    async def again(name: str, model: str = "a/model", **options: object) -> evals.Run:
        return await evals.run(
            SUITE,
            models=[model],
            llm=partial(Router, [Route(model="a/model", provider=PROVIDER)]),
            transport=numbered,
            journal=tmp_path / name,
            **kept,
            **QUIET,
            **options,
        )

    def texts(run: evals.Run) -> dict[tuple[str, int], str]:
        return {(row["case"], row["repeat"]): row["answer"] for row in run.to_rows()}

    first = await again("1.jsonl")
    assert len(set(texts(first).values())) == 12
    second = await again("2.jsonl")
    assert texts(second) == texts(first)
    assert second.cost_usd == 0
    third = await again("3.jsonl", replay=True)
    assert texts(third) == texts(first)
    fourth = await again("4.jsonl", model="b/new", replay=True)
    assert {item.failure.code for item in fourth.failures()} == {"evals.replay.missing"}
    assert len(numbered.questions) == 12


async def test_nothing_of_a_key_is_kept_on_disk(tmp_path: Path) -> None:
    """Neither journal nor cache holds the key that was sent."""
    from dealquest.values import Secret

    secret = Provider(name="openrouter", base_url="http://127.0.0.1:9/api/v1", key=Secret("sk-very-secret-key"))
    await evals.run(
        SUITE,
        models=["a/model"],
        llm=partial(Router, [Route(model="a/model", provider=secret)]),
        transport=ChatModels(always("Hello.")),
        cache=tmp_path / "cache",
        journal=tmp_path / "run.jsonl",
        **QUIET,
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]  # noqa: ASYNC240  # a test may wait for its disk
    assert len(files) == 7
    assert not any(b"sk-very-secret-key" in path.read_bytes() for path in files)


def test_plain_code_runs_without_a_loop_and_inside_one(tmp_path: Path) -> None:
    """`run_sync` works in a script and in a cell, where a loop is running already."""

    async def hello(case: evals.Case) -> str:
        return "Hello"

    assert evals.run_sync(SUITE, subjects=[hello], journal=tmp_path / "1.jsonl", **QUIET).is_finished

    async def cell() -> bool:
        return evals.run_sync(SUITE, subjects=[hello], journal=tmp_path / "2.jsonl", **QUIET).is_finished

    assert anyio.run(cell)


async def test_an_interrupt_keeps_what_is_done(tmp_path: Path) -> None:
    """A cancelled run leaves a journal that is read and resumed, and a partial run object."""
    journal = tmp_path / "run.jsonl"
    answered = 0

    async def slow_after_three(case: evals.Case) -> str:
        nonlocal answered
        answered += 1
        if answered > 3:
            await anyio.sleep_forever()
        return "Hello"

    with anyio.move_on_after(0.3):
        await evals.run(SUITE, subjects=[slow_after_three], concurrency=1, journal=journal, **QUIET)
    partial_run = evals.last()
    assert partial_run is not None
    assert len(partial_run.to_rows()) == 3
    read = evals.read(journal)
    assert len(read.to_rows()) == 3
    assert read.stopped is not None
    answered = -10
    assert (await evals.resume(journal, subjects=[slow_after_three], progress="none")).is_finished
    assert answered == -7


def test_importing_is_light() -> None:
    """The face and what a run needs load neither numpy nor pandas nor scipy, matplotlib, Dask or Jupyter."""
    import subprocess

    script = (
        "import sys; from dealquest.evals import load, plan, read, run, rubric, signals; "
        "print({'numpy', 'pandas', 'scipy', 'statsmodels', 'matplotlib', 'dask', 'distributed', 'IPython', 'rich'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"subjects": []}, "evals.input.subject"),
        ({"subjects": [lambda case: "no coroutine"]}, "evals.input.subject"),
        ({"models": ["a/model", "a/model"]}, "evals.input.subject"),
        ({"models": ["a/model"], "scorers": []}, "evals.input.scorer"),
        ({"models": ["a/model"], "repeats": 0}, "evals.input.repeats"),
        ({"models": ["a/model"], "concurrency": 0}, "evals.input.concurrency"),
        ({"models": ["a/model"], "budget_usd": -1}, "evals.input.budget"),
        ({"models": ["a/model"], "budget_usd": "nan"}, "evals.input.budget"),
        ({"models": ["a/model"], "replay": True}, "evals.input.cache"),
        ({"models": ["a/model"], "jurnal": "x"}, "evals.input.option"),
    ],
)
async def test_bad_input_is_refused_before_anything_is_asked(tmp_path: Path, options: dict[str, object], code: str) -> None:
    """Each has its code, and no journal is begun."""
    with pytest.raises(InputError) as caught:
        await evals.run(SUITE, journal=tmp_path / "run.jsonl", **options)  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.code == code
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240  # a test may wait for its disk


async def test_without_a_provider_no_journal_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is said before anything is written, and only where a model is asked."""
    for name in ("OPENROUTER_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError) as caught:
        await evals.run(SUITE, models=["a/model"], journal=tmp_path / "run.jsonl", **QUIET)
    assert caught.value.code == "llm.settings.no_provider"
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240  # a test may wait for its disk


async def test_a_replay_needs_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one machine recorded with its key, another one replays without any."""
    for name in ("ANTHROPIC_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-of-one-machine")
    cache = tmp_path / "cache"
    one = await evals.run(
        SUITE, models=["a/model"], transport=ChatModels(always("Hello.")), cache=cache, journal=tmp_path / "1.jsonl", **QUIET
    )
    monkeypatch.delenv("OPENROUTER_API_KEY")
    other = await evals.run(SUITE, models=["a/model"], cache=cache, replay=True, journal=tmp_path / "2.jsonl", **QUIET)
    assert other.failures() == one.failures() == []
    assert other.cost_usd == 0


async def test_a_rubric_without_scenarios_is_refused_with_counts(tmp_path: Path) -> None:
    """The plan says how many cases lack what the scorer needs."""
    with pytest.raises(InputError, match="2 of 2 cases have no scenario") as caught:
        await evals.run([{"id": "a", "input": "x"}, {"id": "b", "input": "y"}], models=["a/model"], journal=tmp_path / "r.jsonl")
    assert caught.value.code == "evals.case.no_scenario"


async def test_a_finished_router_keeps_its_own_budget(tmp_path: Path) -> None:
    """Two owners of one budget would be none."""
    llm = Router([Route(model="a/model", provider=PROVIDER)], transport=ChatModels(always("Hello.")))
    with pytest.raises(InputError) as caught:
        await evals.run(SUITE, models=["a/model"], llm=llm, budget_usd=1, journal=tmp_path / "run.jsonl")
    assert caught.value.code == "evals.input.router"
    assert (await evals.run(SUITE, models=["a/model"], llm=llm, journal=tmp_path / "run.jsonl", **QUIET)).is_finished


async def test_judges_are_examined_on_anchors_in_every_run(tmp_path: Path) -> None:
    """The report has agreement with intervals, bias and steadiness, and its calls were part of the plan."""
    labels = {anchor.text: anchor.points for case in SUITE if case.scenario for anchor in case.scenario.anchors}

    def answer(question: ChatQuestion) -> ChatAnswer | str:
        if question.model != "judge/model":
            return "The lorries down your lane every morning: what do they cost you? Shall we look at it on Tuesday at nine together?"
        judge = judge_by(lambda text: labels.get(text, 50) / 100)
        return judge(question)

    models = ChatModels(answer)
    run = await evals.run(
        SUITE,
        models=["a/model", "judge/other"],
        scorers=[evals.rubric("judge/model"), evals.signals()],
        judge_check=6,
        llm=router_over(models),
        journal=tmp_path / "run.jsonl",
        progress="none",
    )
    assert run.plan is not None
    assert dict(run.plan.calls) == {"a/model": 6, "judge/other": 6, "judge/model": 12 + 6 * 5} == dict(models.asked)
    report = run.judge_report("rubric")
    assert report.anchors.kappa.value is not None
    assert report.anchors.kappa.value > 0.95
    assert report.anchors.kappa.low is not None
    assert report.order_kept.value == 100.0
    assert report.rewording is not None
    assert report.rewording.flips.value == 0.0
    assert report.family.value is not None
    assert "AC2" in str(report)
    assert "rubric against the anchors: weighted kappa" in repr(run)
    assert evals.read(run.path).judge_report("rubric") == report


async def test_the_manifest_says_what_a_number_needs(tmp_path: Path) -> None:
    """Versions, seed, prompts by digest, prices and the plan's own name stand in the first line."""
    journal = tmp_path / "run.jsonl"
    llm = router_over(ChatModels(always("Hello.")))
    await evals.run(SUITE, models=["openai/gpt-oss-120b"], prompts={"v1": "Be brief."}, llm=llm, seed=7, journal=journal, **QUIET)
    first = msgspec.json.decode(journal.read_bytes().split(b"\n")[0])
    assert first["t"] == "manifest"
    assert (first["seed"], first["repeats"], first["suite"]["cases"]) == (7, 1, 6)
    assert first["subjects"]["openai/gpt-oss-120b · v1"]["prompt_digest"]
    assert first["prices"]["openai/gpt-oss-120b"] == {"input": "0.15", "output": "0.60"}
    assert {"python", "dealquest", "platform"} <= set(first["versions"])


async def test_an_unknown_case_subject_or_scorer_is_named(tmp_path: Path) -> None:
    """What is not part of the run is a typed error."""

    async def hello(case: evals.Case) -> str:
        return "Hello"

    run = await evals.run(SUITE, subjects=[hello], journal=tmp_path / "run.jsonl", **QUIET)
    for ask, code in [
        (lambda: run.case("nope"), "evals.case.unknown"),
        (lambda: run.compare("hello", "nope"), "evals.subject.unknown"),
        (lambda: run.table("nope"), "evals.scorer.unknown"),
    ]:
        with pytest.raises(NotFoundError) as caught:
            ask()
        assert caught.value.code == code
