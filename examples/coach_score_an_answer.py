"""Score one answer offline: no key, no network. Give your own answer as an argument, or see three of different quality."""

import sys

import anyio

from dealquest.coach import SignalScorer, load_pack


async def main(answers: list[str]) -> None:
    """Show the situation, then a score card per answer."""
    scenario = load_pack("en").scenario("objection_01")
    print(f"{scenario.persona.name}, {scenario.persona.role}: “{scenario.opening}”\n")
    for answer in answers or [anchor.text for anchor in scenario.anchors]:
        card = await SignalScorer().score(scenario, answer)
        print(f"> {answer}\n{card.total} of 100")
        for score in card.criteria:
            print(f"  {score.score:>3}/{score.max:<3} {score.name}: {score.feedback}")
        for improvement in card.improvements:
            print(f"  • {improvement}")
        print()
    print(card.note)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:])
