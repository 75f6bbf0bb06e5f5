"""Change the code of the parts that must not be wrong in small ways, and count how many changes the tests notice.

    pip install mutmut && python scripts/mutate.py PART [FOLDER]

PART is one of the table below, or `all`. It works on a copy, in a temporary folder or in a new FOLDER that stays for a closer look
(`mutmut show NAME` there), and prints the score and every survivor. It ends with 1 when a part stays below 85 %, did not finish, or
has a file in which nothing was changed.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEAST = 0.85
# Part: files of src/dealquest, and the tests that must notice.
PARTS = {
    "auth": (
        ("auth/access", "auth/bot_keys", "auth/init_data", "auth/sign_in", "auth/signing_secret", "auth/strict_json", "auth/tokens"),
        ("tests/auth",),
    ),
    "vault": (("vault",), ("tests/vault",)),
    "sse": (("wire/sse",), ("tests/wire/test_sse.py",)),
    "retry": (("wire/retry",), ("tests/wire/test_retry.py",)),
    "literals": (
        ("storage/postgrest/literals", "storage/postgrest/notation"),
        ("tests/storage/test_postgrest_literals.py", "tests/storage/test_postgrest_notation.py", "tests/storage/test_postgrest_values.py"),
    ),
    "quoting": (("storage/postgrest/render",), ("tests/laws/test_postgrest_round_trip.py", "tests/storage/test_postgrest_render.py")),
}
# The profile is in tests/conftest.py: the same examples each time, and no search for the smallest one that fails.
CONFIG = """\
[mutmut]
source_paths=src
only_mutate=
{targets}
pytest_add_cli_args=
    --hypothesis-profile=mutation
    --no-header
pytest_add_cli_args_test_selection=
{tests}
also_copy=
    adapters
    docs
    README.md
    LICENSE
track_dependencies=false
use_git_change_detection=false
"""
NOTICED = {"killed", "timeout"}
UNCHECKED = "not checked"
Verdicts = list[tuple[str, str]]


def mutate(part: str, folder: Path, mutmut: Path) -> bool:
    """Mutate one part in a folder of its own; whether the tests noticed enough."""
    files, tests = PARTS[part]
    for name in ("src", "tests", "adapters", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "setup.cfg").write_text(
        CONFIG.format(targets="\n".join(f"    src/dealquest/{name}.py" for name in files), tests="\n".join(f"    {name}" for name in tests))
    )
    subprocess.run([mutmut, "run", "--max-children", "1"], cwd=folder, check=False, stdout=sys.stderr)
    results = subprocess.run([mutmut, "results", "--all", "true"], cwd=folder, check=True, capture_output=True, text=True).stdout
    verdicts: Verdicts = re.findall(r"^\s*(\S+): (.+?)\s*$", results, re.MULTILINE)
    for name, verdict in verdicts:
        if verdict not in NOTICED and verdict != UNCHECKED:
            shown = subprocess.run([mutmut, "show", name], cwd=folder, check=False, capture_output=True, text=True).stdout
            changed = [line for line in shown.splitlines() if re.match(r"[-+][^-+]", line)]
            print(f"{verdict}: {name}", *changed, sep="\n    ")
    return judge(part, files, verdicts)


def judge(part: str, files: Iterable[str], verdicts: Verdicts) -> bool:
    """Say the score; what was not looked at is no success."""
    modules = [f"dealquest.{name.replace('/', '.')}." for name in files]
    unchanged = [module for module in modules if not any(name.startswith(module) for name, _ in verdicts)]
    counts = Counter(verdict for _, verdict in verdicts)
    if unchanged or counts[UNCHECKED]:
        print(f"{part}: the run did not finish; {counts[UNCHECKED]} changes not checked, nothing changed in {unchanged}", flush=True)
        return False
    noticed = sum(counts[verdict] for verdict in NOTICED)
    endless = f", {counts['timeout']} of them because the tests did not end" if counts["timeout"] else ""
    print(f"{part}: {noticed} of {len(verdicts)} changes noticed, {noticed / len(verdicts):.1%}{endless}", flush=True)
    return noticed >= LEAST * len(verdicts)


def main() -> int:
    """Mutate the parts that were named."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("part", choices=[*PARTS, "all"])
    reader.add_argument("folder", nargs="?", type=Path)
    asked = reader.parse_args()
    mutmut = Path(sys.executable).with_name("mutmut")
    if not mutmut.exists():
        print("mutmut is not installed beside this Python: pip install mutmut")
        return 1
    enough = []
    for part in PARTS if asked.part == "all" else [asked.part]:
        with tempfile.TemporaryDirectory() as temporary:
            place = asked.folder.resolve() / part if asked.folder else Path(temporary)
            place.mkdir(parents=True, exist_ok=not asked.folder)
            enough.append(mutate(part, place, mutmut))
    return 0 if all(enough) else 1


if __name__ == "__main__":
    sys.exit(main())
