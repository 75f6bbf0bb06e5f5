"""One seller's question, one answer: scenario packs, and scoring an answer against a rubric.

It sends no message and stores nothing; `dealquest.coach` is transport-free.
"""

from .pack import Criterion, Lesson, Level, Pack, Persona, Scenario, Signal, Track
from .scenarios import Fault, builtin_packs, check_pack, load_pack
from .scorecard import CriterionScore, ScoreCard
from .scoring import Scorer, SignalScorer
from .signals import score_by_signals

__all__ = [
    "Criterion",
    "CriterionScore",
    "Fault",
    "Lesson",
    "Level",
    "Pack",
    "Persona",
    "Scenario",
    "ScoreCard",
    "Scorer",
    "Signal",
    "SignalScorer",
    "Track",
    "builtin_packs",
    "check_pack",
    "load_pack",
    "score_by_signals",
]
