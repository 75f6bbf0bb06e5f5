"""What the tests of support and leads share: prepared answers of a model, and a person who chats on the real engine."""

from typing import Any

import attrs
import psycopg

from dealquest.coach.dialogue import House
from dealquest.coach.effects import Effects
from dealquest.coach.leads import Plan, PlanStep
from dealquest.coach.scenarios import load_pack
from dealquest.coach.strategist import Advice, Analysis, CaseMatch, DealFacts, Draft, Strategy, StrategyStep, Tactics
from dealquest.coach.turns import Turns
from dealquest.storage import Postgrest
from dealquest.testing import Chatter, HeldMedia, ScriptedModels
from dealquest.values import Clock

DEAL = "Ann Lee, CFO of Acme, says our price is too high and went silent after the proposal."

FACTS = DealFacts(
    is_deal=True,
    photo_text="",
    name="Ann Lee",
    title="CFO",
    company="Acme",
    other_names=["Bob Stone"],
    persona_type="economic_buyer",
    scenario_type="price_objection",
    industry="software",
    seniority="c_level",
    search_words=["price", "expensive", "silence"],
    wants_research=False,
)
ADVICE = Advice(
    analysis=Analysis(
        prospect_type="A finance chief",
        seniority="C level",
        background_leverage="Knows the cost of waiting",
        company_context="Grows",
        stage="Proposal is out",
        key_concern="Payback is not clear",
        buying_signal="medium",
        buying_signal_reason="She asked for a second call",
    ),
    strategy=Strategy(
        steps=[StrategyStep(principle=f"Principle {number}", detail=f"Detail {number} for Ann Lee") for number in (1, 2, 3)],
        anticipated_objection="We have no budget",
        objection_response="Ask what it costs to wait, as Bob did",
    ),
    engagement_tactics=Tactics(linkedin_actions=["Like her post"], comment_suggestion="", timing="Tuesday morning"),
    draft=Draft(
        platform="email", message="Dear Ann, what would a month of waiting cost Acme? Ann's call: ann@acme.io", playbook_reference="Price"
    ),
    casebook_match=CaseMatch(case_id=0, similarity="none"),
    quality_score=0.8,
)
PLAN = Plan(
    steps=[
        PlanStep(action_type="email_outreach", description=f"Do thing {number}", suggested_text="", timing="soon") for number in range(1, 6)
    ]
)


def written(message: str, **changes: Any) -> Advice:
    """The same advice with another draft."""
    return attrs.evolve(ADVICE, draft=attrs.evolve(ADVICE.draft, message=message), **changes)


def chatter(
    records: Postgrest, *answers: object, name: str = "ann", clock: Clock | None = None, first_update: int = 1, **parts: Any
) -> Chatter:
    """A person whose model gives these answers; without any there is no model."""
    models = parts.pop("models", None) or (ScriptedModels(*answers) if answers else None)
    effects = Effects(
        packs=lambda _: load_pack("en"),
        looks=records,
        models=models,
        house=House(hears=True, searches=parts.pop("searches", False)),
        media=HeldMedia({"a": b"photo"}),
        **parts,
    )
    return Chatter(Turns(records, effects=effects, worker="w", clock=clock), name=name, first_update=first_update)


def rows(database: Any, query: str, *values: Any) -> list[Any]:
    """What the owner of the database sees."""
    with psycopg.connect(database.owner_dsn, autocommit=True) as owner:
        found = owner.execute(query, values or None)  # type: ignore[call-overload]  # queries of ours
        return list(found.fetchall()) if found.description else []
