"""Which event loop runs here."""

import sys


def is_trio_running() -> bool:
    """Whether this code runs under trio; does not load it."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_run())
