"""Ask a model, get an object back, read a stream: here the provider is a script, so it runs without a key.

With a key it is `async with Router.from_env() as llm:` and nothing else changes.
"""

import anyio
import attrs

from dealquest.llm import Done, Provider, Route, Router, TextDelta
from dealquest.testing import FrozenClock, ScriptedTransport, answer_events, answer_json
from dealquest.values import Secret


@attrs.frozen
class ScoreCard:
    points: int
    praise: str


def whole(text: str) -> dict[str, object]:
    return {
        "model": "openai/gpt-oss-120b",
        "choices": [{"finish_reason": "stop", "message": {"content": text}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 9, "cost": 0.00001},
    }


async def main() -> None:
    clock = FrozenClock()
    provider = ScriptedTransport(
        answer_json({"error": {"code": 429, "message": "busy"}}, status=429, headers=(("retry-after", "2"),)),
        answer_json(whole("Win back a week a month.")),
        answer_json(whole('{"points": 8, "praise": "Short and about the buyer."}')),
        answer_events(
            *({"choices": [{"delta": {"content": word}}]} for word in ("Ask ", "first.")), {"choices": [{"finish_reason": "stop"}]}
        ),
        timer=clock,
    )
    route = Route(model="openai/gpt-oss-120b", provider=Provider(name="openrouter", base_url="https://x.invalid", key=Secret("sk-demo")))
    async with Router([route], transport=provider, timer=clock) as llm:
        answer = await llm.complete("Pitch me in thirty seconds")
        print(answer.text, "|", answer.model, answer.cost_usd, "USD after", len(answer.attempts), "attempts")
        card = await llm.complete("Score: " + answer.text, output=ScoreCard)
        print(card)
        async for event in llm.stream("One tip, please"):
            if isinstance(event, TextDelta):
                print(event.text, end="")
            elif isinstance(event, Done):
                print(f"  ({event.completion.finish})")


if __name__ == "__main__":
    anyio.run(main)
