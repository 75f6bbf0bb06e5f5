"""The nearest known name to one that is unknown, for hints.

Names are compared by shared letter groups of three, then two; the candidates are ranked by edit distance.
Source: the fuzzyset method that PostgREST's hints follow, observed behaviour, read 2026-11-22.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable

LIKELY = 0.75
"""Names of tables and functions are only told to who nearly knows them."""

_LEAST = 0.33
_NOT_WORD = re.compile(r"[^\w, ]+")


def find_nearest(name: str, known: Iterable[str], *, least: float = _LEAST) -> str | None:
    """The known name most like this one, None when none is near.

    >>> find_nearest("projcts", ["clients", "projects"])
    'projects'
    """
    normal = name.lower()
    candidates = {item.lower(): item for item in sorted(known)}
    if normal in candidates:
        return candidates[normal]
    for size in (3, 2):
        wanted = _grams(normal, size)
        length = _norm(wanted)
        scored = []
        for text in candidates:
            grams = _grams(text, size)
            shared = sum(count * grams[gram] for gram, count in wanted.items() if gram in grams)
            if shared:
                scored.append((shared / (length * _norm(grams)), text))
        likely = [text for _, text in sorted(scored, reverse=True)[:50]]
        best = sorted(((1 - _distance(normal, text) / max(len(normal), len(text)), text) for text in likely), key=lambda pair: -pair[0])
        if best and best[0][0] >= least:
            return candidates[best[0][1]]
    return None


def _grams(text: str, size: int) -> Counter[str]:
    padded = f"-{_NOT_WORD.sub('', text)}-".ljust(size, "-")
    return Counter(padded[place : place + size] for place in range(len(padded) - size + 1))


def _norm(grams: Counter[str]) -> float:
    return math.sqrt(sum(count * count for count in grams.values()))


def _distance(left: str, right: str) -> int:
    """Levenshtein's."""
    row = list(range(len(right) + 1))
    for place, letter in enumerate(left, 1):
        previous, row[0] = row[0], place
        for column, other in enumerate(right, 1):
            previous, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, previous + (letter != other))
    return row[-1]
