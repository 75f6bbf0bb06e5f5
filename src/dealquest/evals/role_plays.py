"""A conversation as the thing under test: a model plays the buyer, a simulated seller talks to it, turn by turn.

The buyer has the bot's own orders. Either side may be the one that is compared: the seller's turns are scored by the scenario's
rubric (its limits grow with the turns), and `buyer_persona` measures how often the buyer leaves its part.
"""

import inspect
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import attrs

from dealquest.coach import Said, build_persona_orders, faults_of_reply, seller_text, tidy_reply
from dealquest.errors import InputError
from dealquest.values import JsonObject

from .cases import Case, digest
from .metering import Meter
from .scorers import fence_for, scenario_of
from .scores import Score
from .subjects import SELLER_PROMPT, Answer, source_of

SALES_TALK = re.compile(
    r"\b(?:our (?:product|solution|platform|service|team) (?:can|will|helps|offers)|we (?:offer|can help you)|would you be interested in|"
    r"i(?:'d| would) (?:love|like) to show you|book a demo|how can i (?:help|assist) you|as an ai)\b",
    re.IGNORECASE,
)

Turns: TypeAlias = Sequence[tuple[str, str]]
Seller: TypeAlias = Callable[[Case, Turns], Awaitable[str]]
"""An async function of the case and the turns so far, as (`buyer` or `seller`, text), that returns what the seller says next."""


@attrs.frozen(kw_only=True)
class RolePlay:
    """A role-play as a subject.

    Attributes:
        buyer: The model that plays the buyer.
        seller: The model that plays the seller, or a function that does.
        turns: How often the seller speaks.
        compared: Which side tables name the subject after.
        max_tokens: Most tokens of a turn.
        version: Change it when the seller's function changes in a way its source does not show.
    """

    buyer: str
    seller: str | Seller
    turns: int = 3
    compared: str = "buyer"
    max_tokens: int = 600
    version: str = ""

    @property
    def name(self) -> str:
        """The compared side."""
        return f"{self.buyer} as buyer" if self.compared == "buyer" else f"{self._seller_name} as seller"

    @property
    def models(self) -> tuple[str, ...]:
        """A call for each turn of each model."""
        sellers = (self.seller,) * self.turns if isinstance(self.seller, str) else ()
        return (*sellers, *((self.buyer,) * self.turns))

    @property
    def declaration(self) -> JsonObject:
        """Both sides, their prompts and the number of turns."""
        own = digest(SELLER_PROMPT) if isinstance(self.seller, str) else digest(source_of(self.seller))
        return {
            "kind": "role_play",
            "buyer": self.buyer,
            "seller": self._seller_name,
            "turns": self.turns,
            "compared": self.compared,
            "max_tokens": self.max_tokens,
            "version": self.version,
            "prompt_digest": digest(_persona_source(), own),
            **({} if isinstance(self.seller, str) else {"function": True}),
        }

    async def answer(self, case: Case, meter: Meter) -> Answer:
        """Hold the conversation; the answer to score is what the seller said.

        Raises:
            InputError: `evals.case.no_scenario`.
        """
        scenario = scenario_of(case, Answer(text=""))
        turns: list[tuple[str, str]] = [("buyer", scenario.opening)]
        for number in range(self.turns):
            turns.append(("seller", await self._sell(case, turns, meter)))
            turns.append(("buyer", await self._buy(case, turns, meter, is_last=number == self.turns - 1)))
        lines = [Said("seller" if who == "seller" else "persona", text) for who, text in turns]
        return Answer(text=seller_text(lines), turns=tuple(turns))

    @property
    def _seller_name(self) -> str:
        return self.seller if isinstance(self.seller, str) else str(getattr(self.seller, "__name__", "seller"))

    async def _sell(self, case: Case, turns: Turns, meter: Meter) -> str:
        if not isinstance(self.seller, str):
            return await self.seller(case, tuple(turns))
        # The situation already ends with the buyer's opening words.
        messages = [{"role": "user", "content": case.input}, *_as_seller(turns[1:])]
        completion = await meter.ask(messages, model=self.seller, system=SELLER_PROMPT, max_tokens=self.max_tokens)
        return completion.text.strip()

    async def _buy(self, case: Case, turns: Turns, meter: Meter, *, is_last: bool) -> str:
        scenario = scenario_of(case, Answer(text=""))
        fence = fence_for(self.buyer, case.id, *(text for _, text in turns))()
        messages = [
            {"role": "user", "content": f"<seller {fence}>\n{text}\n</seller {fence}>"}
            if who == "seller"
            else {"role": "assistant", "content": text}
            for who, text in turns[1:]
        ]
        orders = build_persona_orders(scenario, fence=fence, is_last=is_last)
        completion = await meter.ask(messages, model=self.buyer, system=orders, max_tokens=self.max_tokens)
        return tidy_reply(completion.text, scenario, fence=fence)


@attrs.frozen(kw_only=True)
class BuyerPersona:
    """How well the buyer of a role-play keeps to its part: the share of its turns that the bot would show.

    The bot refuses a reply that leaves the role, recites its orders or gives everything away; here such a turn costs points, and so
    does one in which the buyer begins to sell.
    """

    name: str = "buyer_persona"
    judges: tuple[str, ...] = ()
    needs_scenario: bool = False

    @property
    def declaration(self) -> JsonObject:
        """Its name and what it looks for."""
        return {"kind": "buyer_persona", "name": self.name, "digest": digest(SALES_TALK.pattern, _persona_source())}

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:  # noqa: ARG002  # it asks nobody
        """Look through the buyer's turns.

        Raises:
            InputError: `evals.case.no_turns` when the answer is no conversation.
        """
        scenario = scenario_of(case, answer)
        said = [text for place, (who, text) in enumerate(answer.turns) if who == "buyer" and place]
        if not said:
            raise InputError(f"the answer to {case.id!r} is no conversation with a buyer", code="evals.case.no_turns")
        faults = [faults_of_reply(text, scenario) + (["it sells"] if SALES_TALK.search(text) else []) for text in said]
        note = "; ".join(f"{', '.join(found)}: {text[:80]}" for text, found in zip(said, faults, strict=True) if found)
        return Score(points=100 * sum(not found for found in faults) / len(said), note=note, facts={"faults": faults})


def role_play(
    buyer: str, seller: str | Seller, *, turns: int = 3, compared: str = "buyer", max_tokens: int = 600, version: str = ""
) -> RolePlay:
    """A role-play as a subject; see `RolePlay`.

    Raises:
        InputError: `evals.input.role_play` for fewer than two turns, or a side that does not exist.
    """
    if turns < 2 or compared not in {"buyer", "seller"}:
        raise InputError("a role-play has two turns at least, and compares `buyer` or `seller`", code="evals.input.role_play")
    return RolePlay(buyer=buyer, seller=seller, turns=turns, compared=compared, max_tokens=max_tokens, version=version)


def buyer_persona(*, name: str = "buyer_persona") -> BuyerPersona:
    """How well the buyer of a role-play keeps to its part; see `BuyerPersona`."""
    return BuyerPersona(name=name)


def _persona_source() -> str:
    """The file that holds the buyer's orders and the checks of its replies."""
    return inspect.getsource(sys.modules[build_persona_orders.__module__])


def _as_seller(turns: Turns) -> list[dict[str, str]]:
    return [{"role": "assistant" if who == "seller" else "user", "content": text} for who, text in turns]
