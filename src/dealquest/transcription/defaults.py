"""What holds unless a caller says otherwise; a file of its own, so that the role loads without the values behind it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .transcript import Progress

DEADLINE_S = 60.0
"""Seconds for a whole transcription."""


def ignore_progress(_: "Progress") -> None:
    """Look away: for callers who do not watch."""
