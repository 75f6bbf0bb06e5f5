"""Compare two sets of recorded answers offline: a table with intervals, a paired difference, one case told as a story."""

import tempfile
from pathlib import Path

from dealquest import evals


def main() -> None:
    """Evaluate, compare, and read the journal back."""
    suite = evals.load("foundations")
    anchors = {case.id: case.scenario.anchors for case in suite if case.scenario is not None}
    with tempfile.TemporaryDirectory() as folder:
        run = evals.run_sync(
            suite,
            subjects=[
                evals.recorded({name: found.fair.text for name, found in anchors.items()}, name="last month"),
                evals.recorded({name: found.strong.text for name, found in anchors.items()}, name="this month"),
            ],
            scorers=[evals.signals()],
            journal=Path(folder) / "run.jsonl",
            progress="none",
        )
        print(run, "\n")
        print(run.compare("this month", "last month"), "\n")
        print(evals.read(run.path).case("learn_1_1").trace)


if __name__ == "__main__":
    main()
