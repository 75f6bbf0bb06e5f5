"""Offline scoring per answer, against its floor: cutting the same answer into sentences and words once."""

import statistics
import time
from collections.abc import Callable

from dealquest.coach import load_pack, score_by_signals
from dealquest.coach.prose import split_sentences

PACK = load_pack("en")
PAIRS = [(scenario, scenario.anchors.strong.text) for scenario in PACK.scenarios]
ROUNDS = 15


def measure(work: Callable[[], object]) -> float:
    """Seconds of process time for one pass."""
    start = time.process_time()
    work()
    return time.process_time() - start


def score_all() -> None:
    """The work itself."""
    for scenario, text in PAIRS:
        score_by_signals(scenario, text)


def cut_all() -> None:
    """The floor."""
    for scenario, text in PAIRS:
        split_sentences(text, scenario.lexicon)


score_all()
cut_all()
rounds = [(measure(score_all), measure(cut_all)) for _ in range(ROUNDS)]
score_ms = 1000 * statistics.median(first for first, _ in rounds) / len(PAIRS)
ratio = statistics.median(first / second for first, second in rounds)
print(f"offline score: {score_ms:.2f} ms CPU an answer, {ratio:.1f} x its floor ({len(PAIRS)} answers, {ROUNDS} paired rounds)")
big = "What would it cost you, if nothing changed by Tuesday at 10? " * 1700
print(f"100 kB answer: {1000 * measure(lambda: score_by_signals(PAIRS[0][0], big)):.1f} ms CPU")
