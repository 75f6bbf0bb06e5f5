"""`dealquest scenarios`: check a scenario pack before it is used."""

import sys
from pathlib import Path

from cyclopts import App

from dealquest.coach.scenarios import check_pack
from dealquest.errors import InputError

app = App(name="scenarios", help="Scenario packs: check a file.")


@app.command
def check(file: Path) -> None:
    """Name every fault of a scenario file with its place; exit code 1 when there is any.

    Args:
        file: A pack in TOML, as docs/scenario-format.md describes it.
    """
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8 text"
        raise InputError(f"{file} cannot be read: {reason}.", code="coach.pack.unreadable") from exc
    faults = check_pack(text)
    for fault in faults:
        print(f"{file}: {fault}")
    if faults:
        sys.exit(1)
    print(f"{file}: no faults")
