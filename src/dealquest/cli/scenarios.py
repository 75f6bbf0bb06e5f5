"""`dealquest scenarios`: check a scenario pack before it is used."""

import sys
from pathlib import Path

from cyclopts import App

from dealquest.coach import check_file

app = App(name="scenarios", help="Scenario packs: check a file.")


@app.command
def check(file: Path) -> None:
    """Name every fault of a scenario file with its place; exit code 1 when there is any.

    Args:
        file: A pack in TOML or a folder of them, as docs/scenario-format.md describes it.
    """
    faults = check_file(file)
    for fault in faults:
        print(fault)
    if faults:
        sys.exit(1)
    print(f"{file}: no faults")
