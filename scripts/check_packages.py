"""Install built distributions into clean environments, each extra alone, and see that what they promise is there.

Everything else that is installed comes in the pinned versions. Needs the network, or pip's cache of an earlier run.

    python scripts/check_packages.py DIST VERSION
"""

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("dealquest", "dealquest_telegram", "dealquest_http")
# What each extra must make importable; the empty name is the bare install.
PROMISES = {
    "": "dealquest.llm dealquest.auth dealquest.vault dealquest.transcription dealquest.tracing dealquest.storage dealquest.coach",
    "aiohttp": "dealquest.wire.aiohttp_client",
    "postgres": "dealquest.storage.engine",
    "embedded": "dealquest.storage.embedded",
    "cli": "dealquest.cli.app dealquest.cli.terminal",
    "otel": "dealquest.tracing.otel",
    "pandas": "pandas dealquest.tracing.readers",
    "evals": "dealquest.evals scipy pandas matplotlib",
    "dask": "dealquest.evals dask.distributed",
    "telegram": "dealquest_telegram dealquest_telegram.bot",
    "http": "dealquest_http dealquest_http.app",
}
# What must end well where an extra is installed; the chat wants scenarios, texts and migrations out of the wheel.
RUNS = {"cli": ("--version",), "telegram": ("chat", "--plain"), "http": ("db", "status")}
# Not tried alone: it is the sum of the others.
SUMS = {"all"}


def main(dist: Path, version: str) -> int:
    """Check every distribution; 0 when all holds."""
    faults = [fault for name in NAMES for fault in check_metadata(dist, name, version)]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"].keys()
    faults += [f"nobody says what the extra {extra} promises" for extra in extras - PROMISES.keys() - SUMS]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # root's PostgreSQL runs as another account, which must come through
        for extra in ["", *extras]:
            if extra not in SUMS:
                faults += try_extra(dist, Path(folder), extra)
        faults += try_sdists(dist, Path(folder), version)
    for fault in faults:
        print(f"  {fault}")
    print(f"{len(NAMES)} distributions, {len(extras)} extras: {f'{len(faults)} faults' if faults else 'all as promised'}.")
    return 1 if faults else 0


def check_metadata(dist: Path, name: str, version: str) -> list[str]:
    """What a wheel and an sdist say about themselves."""
    wheel, sdist = dist / f"{name}-{version}-py3-none-any.whl", dist / f"{name}-{version}.tar.gz"
    if not wheel.is_file() or not sdist.is_file():
        return [f"{name}: wheel or sdist of {version} is missing"]
    with zipfile.ZipFile(wheel) as archive:
        members = archive.namelist()
        said = message_from_string(archive.read(f"{name}-{version}.dist-info/METADATA").decode())
    with tarfile.open(sdist) as packed:
        members_of_sdist = packed.getnames()
    faults = [
        f"{name}: {field} is missing"
        for field in ("Summary", "License-Expression", "Requires-Python", "Description-Content-Type")
        if not said[field]
    ]
    faults += [f"{name}: {text}" for text in check_body(said, version)]
    for wanted in (f"{name}/py.typed", f"{name}-{version}.dist-info/licenses/LICENSE"):
        if wanted not in members:
            faults.append(f"{name}: the wheel lacks {wanted}")
    return faults + check_sdist(name, {member.partition("/")[2] for member in members_of_sdist}, members)


def check_sdist(name: str, packed: set[str], members: list[str]) -> list[str]:
    """What builds the wheel, whole, and nothing of the neighbours."""
    wanted = {"LICENSE", "README.md", "pyproject.toml", "PKG-INFO"} | {
        f"src/{member}" for member in members if member.startswith(f"{name}/")
    }
    extra = packed - wanted - {".gitignore", ""}
    return [f"{name}: the sdist lacks {member}" for member in sorted(wanted - packed)] + [
        f"{name}: the sdist holds {member}, which is not its own" for member in sorted(extra) if not member.startswith("src/")
    ]


def check_body(said: Message, version: str) -> list[str]:
    """Version and description."""
    faults = [] if said["Version"] == version else [f"version {said['Version']} is not {version}"]
    if len(str(said.get_payload())) < 100:  # shorter than any honest description
        faults.append("the description is empty")
    return faults


def try_extra(dist: Path, folder: Path, extra: str) -> list[str]:
    """Install the wheels with one extra and import what it promises."""
    place = make_environment(folder / (extra or "bare"))
    wanted = "dealquest" + (f"[{extra}]" if extra else "")
    done = install(place, dist, folder, wanted)
    if done is not None:
        return [f"{wanted}: {done}"]
    faults = []
    for module in PROMISES[extra].split() if extra in PROMISES else ():
        tried = run(str(place / "bin/python"), "-W", "error", "-c", f"import {module}")
        if tried.returncode:
            faults.append(f"{wanted}: import {module} failed: {tried.stderr.strip().splitlines()[-1]}")
    if extra in RUNS:
        tried = run("env", f"DEALQUEST_HOME={folder / 'home'}", str(place / "bin/dealquest"), *RUNS[extra])
        if tried.returncode:
            faults.append(f"{wanted}: dealquest {' '.join(RUNS[extra])} failed: {(tried.stderr.strip().splitlines() or ['no word'])[-1]}")
    shutil.rmtree(place)
    return faults


def try_sdists(dist: Path, folder: Path, version: str) -> list[str]:
    """A wheel built from each sdist is the wheel that was built from the tree."""
    faults = []
    for name in NAMES:
        with tarfile.open(dist / f"{name}-{version}.tar.gz") as packed:
            packed.extractall(folder / "sdist", filter="data")
        built = folder / "from-sdist"
        done = run(
            sys.executable, "-m", "hatchling", "build", "-t", "wheel", "--directory", str(built), at=folder / "sdist" / f"{name}-{version}"
        )
        if done.returncode:
            faults.append(f"{name}: the sdist does not build: {done.stderr.strip().splitlines()[-1]}")
        elif contents(built / f"{name}-{version}-py3-none-any.whl") != contents(dist / f"{name}-{version}-py3-none-any.whl"):
            faults.append(f"{name}: the wheel from the sdist differs from the wheel from the tree")
    return faults


def contents(wheel: Path) -> dict[str, int]:
    """Names and checksums of a wheel's files, without its own list of them."""
    with zipfile.ZipFile(wheel) as archive:
        return {item.filename: item.CRC for item in archive.infolist() if not item.filename.endswith("RECORD")}


def make_environment(place: Path) -> Path:
    """An empty environment; pip works on it from outside."""
    run(sys.executable, "-m", "venv", "--without-pip", str(place))
    return place


def install(place: Path, dist: Path, folder: Path, wanted: str) -> str | None:
    """Install from the built wheels, everything else as pinned; what went wrong, if anything."""
    pins = folder / "pins.txt"
    if not pins.exists():
        text = (ROOT / "constraints.txt").read_text("utf-8")
        pins.write_text("\n".join(re.findall(r"^[A-Za-z0-9_.-]+==[^\s\\]+(?: ; [^\\\n]+)?", text, re.MULTILINE)) + "\n")
    done = run(*find_pip(), "--python", str(place / "bin/python"), "install", "-qq", "--no-compile", "--disable-pip-version-check",
               "--find-links", str(dist), "--constraint", str(pins), wanted)  # fmt: skip
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["pip failed"])[-1]


def find_pip() -> tuple[str, ...]:
    """The environment's own pip, or that of the Python it was made with."""
    own = run(sys.executable, "-m", "pip", "--version").returncode == 0
    return (sys.executable if own else str(Path(sys.base_prefix) / "bin/python3"), "-m", "pip")


def run(*command: str, at: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command, its output kept."""
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=at, stdin=subprocess.DEVNULL)  # our own words


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve(), sys.argv[2]))
