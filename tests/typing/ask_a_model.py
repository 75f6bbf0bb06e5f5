"""For type checkers only: what a user's program looks like to `mypy --strict`."""

import attrs

from dealquest.llm import Completion, Event, Router, Structured


@attrs.frozen
class Card:
    points: int


async def main() -> None:
    async with Router.from_env() as llm:
        answer: Completion = await llm.complete([{"role": "user", "content": "Pitch me"}], model="openai/gpt-oss-120b")
        text: str = answer.text
        card: Card = await llm.complete(text, output=Card)
        both: Structured[Card] = await llm.structured(text, Card)
        events: list[Event] = [event async for event in llm.stream(str(card.points + both.value.points))]
        assert events
