"""Change the code of this room in small ways and count how many changes the tests notice.

    pip install mutmut && python benchmarks/auth/mutate.py [FOLDER]

It works on a copy (in FOLDER, else a temporary one), on one core, and prints the score and every survivor.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ("access", "bot_keys", "init_data", "sign_in", "signing_secret", "strict_json", "tokens")
CONFIG = """\
[mutmut]
source_paths=src
only_mutate=
{targets}
pytest_add_cli_args_test_selection=
    tests/auth
    tests/vault
also_copy=
    adapters
    docs
    README.md
    LICENSE
track_dependencies=false
use_git_change_detection=false
"""


def main(folder: Path) -> int:
    for name in ("src", "tests", "adapters", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    targets = [*(f"src/dealquest/auth/{name}.py" for name in TARGETS), "src/dealquest/vault.py"]
    (folder / "setup.cfg").write_text(CONFIG.format(targets="\n".join(f"    {target}" for target in targets)))
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
    print(f"{counts}: {noticed} of {len(verdicts)} noticed, {noticed / max(1, len(verdicts)):.1%}")
    return 0 if verdicts else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        place = Path(sys.argv[1])
        place.mkdir(parents=True, exist_ok=True)
        sys.exit(main(place.resolve()))
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(Path(temporary)))
