"""The direction of imports between single files: every arrow goes one way, late imports and those for types included."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "src", ROOT / "adapters/telegram/src", ROOT / "adapters/http/src"]
MODULES = {".".join(path.relative_to(source).with_suffix("").parts): path for source in SOURCES for path in source.rglob("*.py")}


def imports_of(module: str) -> Iterator[str]:
    """The files that a file names; a room's face stands for no file, its floors are held elsewhere."""
    package = module.split(".")[:-1]
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{name.name}" for name in node.names)


def test_no_file_needs_one_that_needs_it() -> None:
    """Read from the bottom up, each file rests on files that were read before."""
    graph = {module: {target for target in imports_of(module) if target in MODULES} for module in MODULES}
    assert sum(map(len, graph.values())) > 500
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" → ".join(circle.args[1]))
