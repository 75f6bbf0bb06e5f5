"""The house: light imports, documented errors, honest tests, one version."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "adapters").glob("*/src/**/*.py")]
TESTS = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "adapters").glob("*/tests/**/test_*.py")]
CODE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+")
DOCS = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs/errors").glob("*.md"))
# What no core may load: the command line's, the adapters', and other optional libraries.
FOREIGN = {"rich", "cyclopts", "aiogram", "aiohttp", "starlette", "uvicorn", "psycopg", "pandas", "opentelemetry", "pydantic"}
FACES = [
    "dealquest",
    "dealquest.llm",
    "dealquest.auth",
    "dealquest.vault",
    "dealquest.transcription",
    "dealquest.tracing",
    "dealquest.storage",
    "dealquest.coach",
    "dealquest.evals",
    "dealquest.testing",
]


def loaded_by(module: str) -> set[str]:
    script = f"import sys; before = set(sys.modules); import {module}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", FACES)
def test_a_core_loads_no_framework_and_no_extra(module: str) -> None:
    """Importing a core loads nothing that belongs to an extra or an adapter."""
    assert not {name.split(".")[0] for name in loaded_by(module)} & FOREIGN


# What the first use of each core may load: modules of ours at most, and whose else.
WEIGHTS = {
    "llm.Router": (34, {"anyio", "attr", "attrs", "msgspec"}),
    "auth.verify_init_data": (14, {"attr", "attrs", "msgspec"}),
    "vault.Vault": (6, {"attr", "attrs", "msgspec", "cryptography", "_cffi_backend", "_openssl"}),
    "transcription.Transcriber": (16, {"anyio", "attr", "attrs", "msgspec"}),
    "tracing.Collector": (32, {"attr", "attrs", "msgspec"}),
    "storage.Postgrest": (36, {"anyio", "attr", "attrs", "msgspec"}),
    "coach.SignalScorer": (18, {"attr", "attrs", "msgspec"}),
    "evals.run": (88, {"anyio", "attr", "attrs", "msgspec"}),
    "testing.FrozenClock": (16, {"anyio", "attr", "attrs", "msgspec"}),
}


@pytest.mark.parametrize("use", WEIGHTS)
def test_a_core_weighs_what_it_says(use: str) -> None:
    """The first use of a core loads a bounded number of our modules and no library beyond the listed: no HTTP client, no framework."""
    most, others = WEIGHTS[use]
    module, name = use.split(".")
    script = f"import sys; before = set(sys.modules); from dealquest.{module} import {name}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = done.stdout.split()
    assert len([found for found in loaded if found.split(".")[0] == "dealquest"]) <= most
    roots = {found.split(".")[0] for found in loaded} - sys.stdlib_module_names - {"dealquest", "typing_extensions", "sniffio"}
    assert {root for root in roots if not root.startswith("_sysconfigdata")} <= others


def test_importing_the_package_loads_no_third_party() -> None:
    """`import dealquest` costs next to nothing: no client, no model library."""
    roots = {name.split(".")[0] for name in loaded_by("dealquest")}
    assert roots <= {"dealquest"} | set(sys.stdlib_module_names)


def test_the_terminal_never_loads_aiogram() -> None:
    """`dealquest chat` and its help load no Telegram library."""
    loaded = loaded_by("dealquest.cli.chat")
    assert not {"aiogram", "starlette", "pydantic"} & {name.split(".")[0] for name in loaded}


def raised_codes() -> dict[str, str]:
    """Every `code="..."` in the sources, with the place where it stands."""
    codes: dict[str, str] = {}
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.keyword)
                and node.arg == "code"
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
                and CODE.fullmatch(node.value.value)
            ):
                codes.setdefault(node.value.value, f"{path.relative_to(ROOT)}:{node.value.lineno}")
    return codes


def test_every_error_code_is_documented() -> None:
    """Each code that is raised stands in docs/errors with its meaning."""
    codes = raised_codes()
    assert len(codes) > 10
    missing = {code: place for code, place in codes.items() if f"`{code}`" not in DOCS}
    assert not missing


def test_every_test_says_its_promise() -> None:
    """A test without a docstring is a test nobody can judge."""
    assert len(TESTS) > 100
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in TESTS
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_") and ast.get_docstring(node) is None
    ]
    assert not silent


def test_the_version_stands_in_one_place() -> None:
    """All three distributions take their version from `dealquest/__init__.py`."""
    for project in (ROOT, ROOT / "adapters/telegram", ROOT / "adapters/http"):
        table = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
        assert table["project"]["dynamic"] == ["version"]
        assert (project / table["tool"]["hatch"]["version"]["path"]).resolve() == ROOT / "src/dealquest/__init__.py"


def test_only_the_named_files_touch_the_environment_and_httpx() -> None:
    """`settings.py` alone reads the environment, `wire/client.py` alone imports httpx."""
    texts = {str(path.relative_to(ROOT / "src/dealquest")): path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py")}
    assert [place for place, text in texts.items() if re.search(r"os\.(environ|getenv)", text)] == ["settings.py"]
    assert [place for place, text in texts.items() if re.search(r"^\s*(import|from) httpx", text, re.MULTILINE)] == ["wire/client.py"]


@pytest.mark.parametrize("script", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name)
def test_every_example_runs_offline(script: Path) -> None:
    """Each example ends with exit code 0, without a key and without a network."""
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=120, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


def test_doctests_of_the_house_run() -> None:
    """Every example in a docstring is true."""
    import doctest
    import importlib

    tried = 0
    for path in sorted((ROOT / "src/dealquest").rglob("*.py")):
        if ">>> " not in path.read_text("utf-8"):
            continue
        name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
        result = doctest.testmod(importlib.import_module(name))
        assert result.failed == 0, name
        tried += result.attempted
    assert tried > 20
