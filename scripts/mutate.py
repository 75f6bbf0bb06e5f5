"""Change the code of the parts that must not be wrong in small ways, and count how many changes the tests notice.

    pip install mutmut && python scripts/mutate.py PART [FOLDER]

PART is one of the table below, or `all`. It works on a copy (in FOLDER, else a temporary one) and prints the score and every
survivor; below 85 % it ends with 1.
"""

import re
import shutil
import subprocess
import sys
import tempfile
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
    "sse": (("wire/sse",), ("tests/wire/test_sse.py", "tests/llm/test_laws.py")),
    "retry": (("wire/retry",), ("tests/wire/test_retry.py",)),
    "quoting": (
        ("storage/postgrest/literals", "storage/postgrest/notation"),
        ("tests/laws", "tests/storage/test_postgrest_values.py", "tests/storage/test_postgrest_render.py"),
    ),
}
CONFIG = """\
[mutmut]
source_paths=src
only_mutate=
{targets}
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


def main(part: str, folder: Path) -> int:
    """Mutate one part in a folder of its own."""
    files, tests = PARTS[part]
    for name in ("src", "tests", "adapters", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "setup.cfg").write_text(
        CONFIG.format(targets="\n".join(f"    src/dealquest/{name}.py" for name in files), tests="\n".join(f"    {name}" for name in tests))
    )
    mutmut = Path(sys.executable).with_name("mutmut")
    subprocess.run([mutmut, "run", "--max-children", "1"], cwd=folder, check=False, stdout=sys.stderr)
    results = subprocess.run([mutmut, "results", "--all", "true"], cwd=folder, check=True, capture_output=True, text=True).stdout
    verdicts = re.findall(r"^\s*(\S+): (.+?)\s*$", results, re.MULTILINE)
    counts: dict[str, int] = {}
    for _, verdict in verdicts:
        counts[verdict] = counts.get(verdict, 0) + 1
    noticed = counts.get("killed", 0) + counts.get("timeout", 0)
    if "not checked" in counts:
        print(f"{counts}: the run did not finish")
        return 1
    for name, verdict in verdicts:
        if verdict not in {"killed", "timeout"}:
            shown = subprocess.run([mutmut, "show", name], cwd=folder, check=False, capture_output=True, text=True).stdout
            changed = [line for line in shown.splitlines() if re.match(r"[-+][^-+]", line)]
            print(f"{verdict}: {name}", *changed, sep="\n    ")
    score = noticed / max(1, len(verdicts))
    print(f"{part}: {noticed} of {len(verdicts)} changes noticed, {score:.1%}")
    return 0 if score >= LEAST else 1


if __name__ == "__main__":
    wanted = list(PARTS) if sys.argv[1] == "all" else [sys.argv[1]]
    failed = 0
    for name in wanted:
        if len(sys.argv) > 2:
            place = Path(sys.argv[2]) / name
            place.mkdir(parents=True, exist_ok=True)
            failed += main(name, place.resolve())
        else:
            with tempfile.TemporaryDirectory() as temporary:
                failed += main(name, Path(temporary))
    sys.exit(min(failed, 1))
