"""The `dealquest` command. Each sub-command is a module that loads when it is called."""

import os
import sys
from typing import NoReturn

from dealquest.errors import DealQuestError

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run one command; an expected failure is one clear line and exit code 1, never a traceback."""
    from .app import app  # cyclopts is an extra, and its absence needs a clear word

    try:
        app(arguments, exit_on_error=True)
    except DealQuestError as exc:
        print(f"dealquest: {exc.message}", file=sys.stderr)  # this is the command line
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe left. Point standard output elsewhere, or Python complains while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(0)
