"""Judge a measurement of coverage by its branches alone; lines would make them look better than they are.

python scripts/read_coverage.py COVERAGE.json
"""

import json
import sys
from pathlib import Path

LEAST_PERCENT = 95
PACKAGES = ("dealquest", "dealquest_telegram", "dealquest_http")


def main(report: Path) -> int:
    """Print the share of the branches that were taken; 0 when it is enough, and every distribution was measured."""
    found = json.loads(report.read_text("utf-8"))
    taken: dict[str, int] = dict.fromkeys(PACKAGES, 0)
    known: dict[str, int] = dict.fromkeys(PACKAGES, 0)
    for name, file in found["files"].items():
        package = name.split("src/")[-1].split("/")[0]
        taken[package] += file["summary"].get("covered_branches", 0)
        known[package] += file["summary"].get("num_branches", 0)
    for package in PACKAGES:
        print(f"{package:20} {taken[package]:6} of {known[package]:6} branches")
    if not all(taken.values()):
        print("A distribution of which no branch was taken was not measured: run the whole suite, with branches.")
        return 1
    percent = 100 * sum(taken.values()) / sum(known.values())
    print(f"{percent:.2f} % of all branches; {LEAST_PERCENT} % are wanted.")
    return 0 if percent >= LEAST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
