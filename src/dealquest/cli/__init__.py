"""The `dealquest` command. Each sub-command is a module that loads when it is called."""

import errno
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
        print("\n  ".join((f"dealquest: {exc.message}", *getattr(exc, "__notes__", ()))), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of a pipe left. Point standard output elsewhere, or Python complains while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as exc:
        if exc.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("dealquest: the output cannot be written, its disk is full.", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)
