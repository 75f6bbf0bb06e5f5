"""The whole coach as the thing under test: a recorded answer goes in as a user's message, the coach's reply comes out.

The dialogue is the bot's own (`coach.dialogue.converse`), with a scenario open and the scorer of your choice behind it; what
the user would read is the answer, the score card stands beside it. With `evals.anchors()` this checks scoring and wording of
the coach end to end, without storage.
"""

import random
from datetime import datetime

import attrs
import msgspec

from dealquest.coach import ModelScorer, Pack, Scenario, ScoreCard, Scorer, SignalScorer, load_pack
from dealquest.coach.dialogue import (
    Effect,
    EffectResult,
    Event,
    Failed,
    Found,
    Look,
    Person,
    Scene,
    ScoreAnswer,
    State,
    Turn,
    User,
    View,
    catalogue,
    converse,
)
from dealquest.errors import DealQuestError, InputError
from dealquest.values import Clock, JsonObject, SystemClock

from .cases import Case
from .metering import Meter
from .scorers import fence_for, scenario_of
from .scores import Score, score_of_card
from .subjects import Answer


@attrs.frozen(kw_only=True)
class CoachSubject:
    """The coach.

    Attributes:
        judge: The model that scores; the offline scorer where empty.
        pack: The scenarios' pack, as `load_pack` takes it.
    """

    judge: str = ""
    pack: str = "en"
    clock: Clock = attrs.field(factory=SystemClock, repr=False, eq=False)

    @property
    def name(self) -> str:
        """The coach and its judge."""
        return f"coach with {self.judge}" if self.judge else "coach offline"

    @property
    def models(self) -> tuple[str, ...]:
        """One call where a model scores."""
        return (self.judge,) if self.judge else ()

    @property
    def declaration(self) -> JsonObject:
        """The judge and the pack."""
        return {"kind": "coach", "judge": self.judge, "pack": self.pack}

    async def answer(self, case: Case, meter: Meter) -> Answer:
        """Say the case's recorded answer to the coach.

        Raises:
            InputError: `evals.case.no_scenario`; `evals.case.no_answer` when the case holds none.
        """
        scenario = scenario_of(case, Answer(text=""))
        if not case.answer:
            raise InputError(f"the case {case.id!r} holds no answer to say to the coach: see evals.anchors()", code="evals.case.no_answer")
        fence = fence_for(self.judge, scenario.id, case.answer)
        scorer: Scorer = ModelScorer(meter, model=self.judge, new_fence=fence) if self.judge else SignalScorer()
        turn = await play_turn(load_pack(self.pack), scenario, case.answer, scorer, now=self.clock.now(), offline=not self.judge)
        text = "\n\n".join(reply.text.plain for reply in turn.replies)
        card = turn.attempt.card if turn.attempt is not None else None
        return Answer(text=text, data=None if card is None else {"total": card.total, "card": msgspec.to_builtins(card)})


@attrs.frozen(kw_only=True)
class CardScorer:
    """The points that the coach gave, from the card beside its reply."""

    name: str = "card"
    judges: tuple[str, ...] = ()
    needs_scenario: bool = False

    @property
    def declaration(self) -> JsonObject:
        """Its name."""
        return {"kind": "card", "name": self.name}

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:  # noqa: ARG002  # it asks nobody
        """Read the card.

        Raises:
            InputError: `evals.case.no_card` when the coach gave none.
        """
        return score_of_card(_card_of(case, answer))


@attrs.frozen(kw_only=True)
class ClosenessScorer:
    """100 points less the distance between the coach's points and the case's reference."""

    name: str = "closeness"
    judges: tuple[str, ...] = ()
    needs_scenario: bool = False

    @property
    def declaration(self) -> JsonObject:
        """Its name."""
        return {"kind": "closeness", "name": self.name}

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:  # noqa: ARG002  # it asks nobody
        """Compare with the reference.

        Raises:
            InputError: `evals.case.no_card`, `evals.case.no_reference`.
        """
        if not isinstance(case.reference, int | float):
            raise InputError(f"the case {case.id!r} has no agreed points to compare with", code="evals.case.no_reference")
        total = _card_of(case, answer).total
        return Score(points=max(0.0, 100.0 - abs(total - case.reference)), note=f"{total} given, {case.reference:g} agreed")


def coach(judge: str = "", *, pack: str = "en") -> CoachSubject:
    """The whole coach as a subject; see `CoachSubject`."""
    return CoachSubject(judge=judge, pack=pack)


def card(*, name: str = "card") -> CardScorer:
    """The points that the coach gave; see `CardScorer`."""
    return CardScorer(name=name)


def closeness(*, name: str = "closeness") -> ClosenessScorer:
    """How near the coach's points are to the agreed ones; see `ClosenessScorer`."""
    return ClosenessScorer(name=name)


async def play_turn(pack: Pack, scenario: Scenario, answer: str, scorer: Scorer, *, now: datetime, offline: bool) -> Turn:
    """One message to the coach while a scenario is open."""
    person = Person(local_name="evals", first_name="Sam", language=scenario.language)
    state = State(at="answering", mode="train", scenario_id=scenario.id, since=now)
    scene = Scene(
        view=View(user=User(id=1, first_name="Sam", language=scenario.language, greeted=True), state=state),
        event=Event(source="evals", chat="1", update_id=1, user=person, text=answer),
        pack=pack,
        texts=catalogue(scenario.language),
        now=now,
        rng=random.Random(1),  # noqa: S311  # a choice of words, no secret
        offline=offline,
    )
    flow = converse(scene)
    result: EffectResult | None = None
    while True:
        try:
            effect = next(flow) if result is None else flow.send(result)
        except StopIteration as end:
            turn: Turn = end.value
            return turn
        result = await _perform(effect, scenario, scorer)


async def _perform(effect: Effect, scenario: Scenario, scorer: Scorer) -> EffectResult:
    """Answer what a turn asks of the world: a score; of storage, which there is none of, nothing."""
    match effect:
        case ScoreAnswer():
            try:
                return await scorer.score(scenario.for_turns(effect.turns), effect.answer)
            except DealQuestError as exc:
                if exc.code == "llm.budget.exceeded":
                    raise
                return Failed(reason=exc.message, code=exc.code, retryable=exc.retryable)
        case Look():
            return Found()
        case _:
            return Failed(reason="an evaluation of the coach has scores only", code="evals.coach.part")


def _card_of(case: Case, answer: Answer) -> ScoreCard:
    if not isinstance(answer.data, dict) or "card" not in answer.data:
        raise InputError(f"the coach gave no score card for {case.id!r}", code="evals.case.no_card")
    return msgspec.convert(answer.data["card"], ScoreCard)
