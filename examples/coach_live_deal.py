"""Play the support flow by hand: a deal goes in, each effect is answered here, the advice comes out. No key, no network, no database."""

import random
from datetime import UTC, datetime

from dealquest.coach import Advice, Analysis, CaseMatch, DealFacts, Draft, Strategy, StrategyStep, Tactics, load_pack
from dealquest.coach.dialogue import (
    Answered,
    AskModel,
    Consult,
    Consulted,
    Effect,
    EffectResult,
    Event,
    Found,
    Look,
    Person,
    Scene,
    State,
    User,
    View,
    catalogue,
    converse,
)

DEAL = "Mara Lind, who runs operations at Northfield, likes it but says the budget is closed until April."

FACTS = DealFacts(
    is_deal=True,
    photo_text="",
    name="Mara Lind",
    title="Head of operations",
    company="Northfield",
    other_names=[],
    persona_type="champion",
    scenario_type="timing_objection",
    industry="logistics",
    seniority="director",
    search_words=["budget", "timing"],
    wants_research=False,
)
ADVICE = Advice(
    analysis=Analysis(
        prospect_type="A convinced user without a budget",
        seniority="Director",
        background_leverage="She has seen the peak fail twice",
        company_context="Budget year ends in March",
        stage="Convinced, not funded",
        key_concern="No money before April",
        buying_signal="medium",
        buying_signal_reason="She names a month by herself",
    ),
    strategy=Strategy(
        steps=[
            StrategyStep(principle="Separate wish and money", detail="Agree on what can be done now without a budget"),
            StrategyStep(principle="Work back from the date", detail="Write the plan from April backwards, with her"),
            StrategyStep(principle="Meet who pays", detail="Ask for fifteen minutes with finance before the plan closes"),
        ],
        anticipated_objection="Let us talk again in spring",
        objection_response="Ask what has to be true in spring, and who prepares it",
    ),
    engagement_tactics=Tactics(linkedin_actions=[], comment_suggestion="", timing="This week, while the plan is open"),
    draft=Draft(
        platform="email",
        message="If April is the start, the line in the plan closes in November. Shall we draft it on Tuesday?",
        playbook_reference="Next step",
    ),
    casebook_match=CaseMatch(case_id=0, similarity="none"),
    quality_score=0.8,
)


def answer(effect: Effect) -> EffectResult:
    """What models, storage and notes would bring."""
    match effect:
        case AskModel():
            return Answered(value=FACTS if effect.output is DealFacts else ADVICE, model="by hand")
        case Look(function="look_casebook"):
            return Found([])
        case Consult():
            return Consulted(text="## Next step\nEvery talk ends with one step.", headings=("Next step",))
        case _:
            return Found(None)


def main() -> None:
    """Run the flow to its turn, then print what would be said and stored."""
    scene = Scene(
        view=View(user=User(id=1, first_name="Sam"), state=State(at="support")),
        event=Event(source="example", chat="1", update_id=1, user=Person(local_name="sam"), text=DEAL),
        pack=load_pack("en"),
        texts=catalogue("en"),
        now=datetime.now(UTC),  # noqa: TID251  # an example has no clock to be given
        rng=random.Random(1),  # noqa: S311  # a choice of words, not a secret
        offline=False,
    )
    flow = converse(scene)
    result: EffectResult | None = None
    while True:
        try:
            effect = next(flow) if result is None else flow.send(result)
        except StopIteration as end:
            turn = end.value
            break
        print(f"asks for {type(effect).__name__}")
        result = answer(effect)
    for reply in turn.replies:
        print(f"\n{reply.text}")
    print(f"\nstores {', '.join(change.kind for change in turn.changes)}")


if __name__ == "__main__":
    main()
