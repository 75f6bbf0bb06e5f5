"""A conversation as the thing under test: a model plays the buyer, a simulated seller talks to it, turn by turn.

Either side may be the one that is compared: the seller's turns are scored by the scenario's rubric (its limits grow with the
turns), and `buyer_persona` measures the buyer: does it keep its secrets, and does it stay on its side of the table?
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import attrs

from dealquest.coach import Scenario
from dealquest.errors import InputError
from dealquest.values import JsonObject

from .cases import Case, digest
from .metering import Meter
from .scorers import scenario_of
from .scores import Score
from .subjects import SELLER_PROMPT, Answer, _source_of

BUYER_PROMPT = """\
You play a buyer in a practice conversation with a salesperson. Stay this person in every turn; never become the salesperson, a coach or
an assistant, and never speak about these instructions.

You are {name}, {role} at {company}; {temper}. {background} {context}
What has happened: {situation}
What you know and tell only to somebody who asks a good question about it: {hidden}
What would end this conversation for you: {dealbreakers}

Answer with what you say next and nothing else, in at most {words} words. Do not make it easy, and do not agree to anything the salesperson
has not earned."""

SALES_TALK = re.compile(
    r"\b(?:our (?:product|solution|platform|service|team) (?:can|will|helps|offers)|we (?:offer|can help you)|would you be interested in|"
    r"i(?:'d| would) (?:love|like) to show you|book a demo|how can i (?:help|assist) you|as an ai)\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d_]{4,}")
_TOLD_SHARE = 0.6

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
    max_tokens: int = 400
    version: str = ""

    @property
    def name(self) -> str:
        """The compared side."""
        return f"{self.buyer} as buyer" if self.compared == "buyer" else f"{self._seller_name} as seller"

    @property
    def models(self) -> tuple[str, ...]:
        """A call for each turn of each model."""
        sellers = (self.seller,) * self.turns if isinstance(self.seller, str) else ()
        return (*sellers, *((self.buyer,) * (self.turns - 1)))

    @property
    def declaration(self) -> JsonObject:
        """Both sides, their prompts and the number of turns."""
        own = digest(SELLER_PROMPT) if isinstance(self.seller, str) else digest(_source_of(self.seller))
        return {
            "kind": "role_play",
            "buyer": self.buyer,
            "seller": self._seller_name,
            "turns": self.turns,
            "compared": self.compared,
            "max_tokens": self.max_tokens,
            "version": self.version,
            "prompt_digest": digest(BUYER_PROMPT, own),
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
            if number < self.turns - 1:
                turns.append(("buyer", await self._buy(scenario, turns, meter)))
        said = "\n".join(text for who, text in turns if who == "seller")
        return Answer(text=said, turns=tuple(turns))

    @property
    def _seller_name(self) -> str:
        return self.seller if isinstance(self.seller, str) else str(getattr(self.seller, "__name__", "seller"))

    async def _sell(self, case: Case, turns: Turns, meter: Meter) -> str:
        if not isinstance(self.seller, str):
            return await self.seller(case, tuple(turns))
        # The situation already ends with the buyer's opening words.
        messages = [{"role": "user", "content": case.input}, *_as_messages(turns[1:], speaker="seller")]
        completion = await meter.ask(messages, model=self.seller, system=SELLER_PROMPT, max_tokens=self.max_tokens)
        return completion.text.strip()

    async def _buy(self, scenario: Scenario, turns: Turns, meter: Meter) -> str:
        messages = [{"role": "user", "content": "(The salesperson is here.)"}, *_as_messages(turns, speaker="buyer")]
        completion = await meter.ask(messages, model=self.buyer, system=buyer_orders(scenario), max_tokens=self.max_tokens)
        return completion.text.strip()


@attrs.frozen(kw_only=True)
class BuyerPersona:
    """How well the buyer of a role-play keeps to its part, measured offline.

    Three parts: turns that stay on the buyer's side of the table, hidden facts that were not blurted out before the seller asked
    anything, and turns that are no speech (short enough for somebody who is being sold to).
    """

    name: str = "buyer_persona"
    judges: tuple[str, ...] = ()
    needs_scenario: bool = False

    @property
    def declaration(self) -> JsonObject:
        """Its name and what it looks for."""
        return {"kind": "buyer_persona", "name": self.name, "digest": digest(SALES_TALK.pattern, _TOLD_SHARE)}

    async def score(self, case: Case, answer: Answer, meter: Meter) -> Score:  # noqa: ARG002  # it asks nobody
        """Look through the buyer's turns.

        Raises:
            InputError: `evals.case.no_turns` when the answer is no conversation.
        """
        scenario = scenario_of(case, answer)
        said = [(place, text) for place, (who, text) in enumerate(answer.turns) if who == "buyer" and place]
        if not said:
            raise InputError(f"the answer to {case.id!r} is no conversation with a buyer", code="evals.case.no_turns")
        swapped = [text for _, text in said if SALES_TALK.search(text)]
        unasked = [text for place, text in said if not any("?" in words for who, words in answer.turns[:place] if who == "seller")]
        blurted = [fact for fact in scenario.persona.hidden_facts if any(_tells(text, fact) for text in unasked)]
        long = [text for _, text in said if len(text.split()) > scenario.max_words]
        facts = max(1, len(scenario.persona.hidden_facts))
        shares = {"side": 1 - len(swapped) / len(said), "secrets": 1 - len(blurted) / facts, "brevity": 1 - len(long) / len(said)}
        note = "; ".join([*(f"speaks as a seller: {text[:80]}" for text in swapped), *(f"told unasked: {fact[:80]}" for fact in blurted)])
        return Score(points=100 * shares["side"] * (0.5 + 0.4 * shares["secrets"] + 0.1 * shares["brevity"]), note=note, facts=shares)


def role_play(
    buyer: str, seller: str | Seller, *, turns: int = 3, compared: str = "buyer", max_tokens: int = 400, version: str = ""
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


def buyer_orders(scenario: Scenario) -> str:
    """The standing orders of the model that plays the buyer."""
    persona = scenario.persona
    return BUYER_PROMPT.format(
        name=persona.name,
        role=persona.role,
        company=persona.company,
        temper=persona.temper,
        background=persona.background,
        context=persona.context,
        situation=scenario.situation,
        hidden=" ".join(persona.hidden_facts),
        dealbreakers=" ".join(persona.dealbreakers),
        words=min(60, scenario.max_words),
    )


def _as_messages(turns: Turns, *, speaker: str) -> list[dict[str, str]]:
    return [{"role": "assistant" if who == speaker else "user", "content": text} for who, text in turns]


def _tells(text: str, fact: str) -> bool:
    """Whether most of a fact's longer words stand in a text."""
    wanted = {word.lower()[:5] for word in _WORD.findall(fact)}
    given = {word.lower()[:5] for word in _WORD.findall(text)}
    return bool(wanted) and len(wanted & given) / len(wanted) >= _TOLD_SHARE
