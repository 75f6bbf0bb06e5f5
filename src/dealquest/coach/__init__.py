"""One seller's question, one answer: scenario packs, and scoring an answer against a rubric.

It sends no message and stores nothing; `dealquest.coach` is transport-free.
"""

from .pack import Anchor, Anchors, Criterion, Lesson, Level, Pack, Persona, Scenario, Signal, Track
from .pack_reader import Fault
from .panel import PanelScorer
from .progress import PASS_MARK
from .rubric_prompt import CriterionVerdict, Verdict
from .scenarios import builtin_packs, check_file, check_pack, load_pack
from .scorecard import CriterionScore, ScoreCard
from .scoring import Llm, ModelScorer, Scorer, SignalScorer, read_answer
from .signals import score_by_signals

__all__ = [
    "PASS_MARK",
    "Anchor",
    "Anchors",
    "Criterion",
    "CriterionScore",
    "CriterionVerdict",
    "Fault",
    "Lesson",
    "Level",
    "Llm",
    "ModelScorer",
    "Pack",
    "PanelScorer",
    "Persona",
    "Scenario",
    "ScoreCard",
    "Scorer",
    "Signal",
    "SignalScorer",
    "Track",
    "Verdict",
    "builtin_packs",
    "check_file",
    "check_pack",
    "load_pack",
    "read_answer",
    "score_by_signals",
]
