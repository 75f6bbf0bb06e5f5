"""Ask several judges about one answer and keep the middle verdict, with the spread shown."""

from collections.abc import Sequence

import anyio
import attrs

from dealquest.errors import DealQuestError, InputError, PeerError

from .pack import Scenario
from .scorecard import ScoreCard
from .scoring import Scorer


class PanelScorer:
    """Scores by several scorers at once and returns the card with the median total.

    A whole card is kept and not a mixture, so that points, quotes and feedback belong together.

    Args:
        judges: At least two scorers; an odd number has a true middle, an even one keeps the lower of the two.
    """

    def __init__(self, judges: Sequence[Scorer]) -> None:
        if len(judges) < 2:
            raise InputError("a panel needs at least two judges", code="coach.panel.too_small")
        self._judges = tuple(judges)

    async def score(self, scenario: Scenario, answer: str) -> ScoreCard:
        """Score by the panel; see `Scorer.score`.

        Raises:
            PeerError: Fewer than half of the judges answered; the first failure.
        """
        cards: list[ScoreCard] = []
        failures: list[PeerError] = []
        refusals: list[DealQuestError] = []

        async def ask(judge: Scorer) -> None:
            try:
                cards.append(await judge.score(scenario, answer))
            except PeerError as exc:
                failures.append(exc)
            except DealQuestError as exc:  # the answer or our own limit: no other judge can mend it
                refusals.append(exc)

        async with anyio.create_task_group() as group:
            for judge in self._judges:
                group.start_soon(ask, judge)
        if refusals:
            raise refusals[0]
        if 2 * len(cards) < len(self._judges) or not cards:
            raise failures[0]
        cards.sort(key=lambda card: card.total)
        return attrs.evolve(cards[(len(cards) - 1) // 2], spread=(cards[0].total, cards[-1].total))
