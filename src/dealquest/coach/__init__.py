"""One seller's question, one answer: scenario packs, scoring against a rubric, and the durable turns of a conversation.

It sends no message: `dealquest.coach` is transport-free, and `dealquest.coach.dialogue` is the conversation itself.
Each name is loaded when it is first asked for: whoever scores an answer does not wait for the conversation's parts.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .admission import Admission, NameRows
    from .ears import TranscriberEars
    from .effects import Attachment, Caller, Ears, Effects, Knowledge, Media, Models, OnPartial
    from .knowledge import NotesFolder
    from .models import RouterModels
    from .pack import Anchor, Anchors, Criterion, Lesson, Level, Pack, Persona, Scenario, Signal, Track
    from .pack_reader import Fault
    from .panel import PanelScorer
    from .persona_prompt import Said, build_persona_orders, faults_of_reply, seller_text, tidy_reply
    from .progress import PASS_MARK, RANKS, xp_at_level
    from .rubric_prompt import CriterionVerdict, Verdict
    from .scenarios import builtin_packs, check_file, check_pack, load_pack
    from .scorecard import CriterionScore, ScoreCard
    from .scoring import Llm, ModelScorer, Scorer, SignalScorer, read_answer
    from .signals import score_by_signals
    from .strategist import Advice, Analysis, CaseMatch, DealFacts, Draft, Strategy, StrategyStep, Tactics
    from .turns import LEASE_S, Begun, Delivery, Done, Records, Turns

__all__ = [
    "LEASE_S",
    "PASS_MARK",
    "RANKS",
    "Admission",
    "Advice",
    "Analysis",
    "Anchor",
    "Anchors",
    "Attachment",
    "Begun",
    "Caller",
    "CaseMatch",
    "Criterion",
    "CriterionScore",
    "CriterionVerdict",
    "DealFacts",
    "Delivery",
    "Done",
    "Draft",
    "Ears",
    "Effects",
    "Fault",
    "Knowledge",
    "Lesson",
    "Level",
    "Llm",
    "Media",
    "ModelScorer",
    "Models",
    "NameRows",
    "NotesFolder",
    "OnPartial",
    "Pack",
    "PanelScorer",
    "Persona",
    "Records",
    "RouterModels",
    "Said",
    "Scenario",
    "ScoreCard",
    "Scorer",
    "Signal",
    "SignalScorer",
    "Strategy",
    "StrategyStep",
    "Tactics",
    "Track",
    "TranscriberEars",
    "Turns",
    "Verdict",
    "build_persona_orders",
    "builtin_packs",
    "check_file",
    "check_pack",
    "faults_of_reply",
    "load_pack",
    "read_answer",
    "score_by_signals",
    "seller_text",
    "tidy_reply",
    "xp_at_level",
]

_HOMES = {
    "admission": ("Admission", "NameRows"),
    "ears": ("TranscriberEars",),
    "effects": ("Attachment", "Caller", "Ears", "Effects", "Knowledge", "Media", "Models", "OnPartial"),
    "knowledge": ("NotesFolder",),
    "models": ("RouterModels",),
    "pack": ("Anchor", "Anchors", "Criterion", "Lesson", "Level", "Pack", "Persona", "Scenario", "Signal", "Track"),
    "pack_reader": ("Fault",),
    "panel": ("PanelScorer",),
    "persona_prompt": ("Said", "build_persona_orders", "faults_of_reply", "seller_text", "tidy_reply"),
    "progress": ("PASS_MARK", "RANKS", "xp_at_level"),
    "rubric_prompt": ("CriterionVerdict", "Verdict"),
    "scenarios": ("builtin_packs", "check_file", "check_pack", "load_pack"),
    "scorecard": ("CriterionScore", "ScoreCard"),
    "scoring": ("Llm", "ModelScorer", "Scorer", "SignalScorer", "read_answer"),
    "signals": ("score_by_signals",),
    "strategist": ("Advice", "Analysis", "CaseMatch", "DealFacts", "Draft", "Strategy", "StrategyStep", "Tactics"),
    "turns": ("LEASE_S", "Begun", "Delivery", "Done", "Records", "Turns"),
}


def __getattr__(name: str) -> Any:
    """Load the part that holds a name."""
    for home, its_names in _HOMES.items():
        if name in its_names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
