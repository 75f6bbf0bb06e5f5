"""The faces of the rooms: what outsiders import, and whether each name is really there."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CORE = ROOT / "src/dealquest"
OUTSIDE = [*(ROOT / "adapters").glob("*/src/**/*.py"), *(ROOT / "examples").glob("*.py")]
PACKAGES = [path for path in CORE.rglob("__init__.py") if "__all__" in path.read_text("utf-8")]
FACES = sorted(".".join(path.parent.relative_to(ROOT / "src").parts) for path in PACKAGES)


def foreign_imports(path: Path) -> Iterator[str]:
    """Modules of the core that a file of another room imports from."""
    own = path.relative_to(CORE).with_suffix("").parts[0] if path.is_relative_to(CORE) else ""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module is not None:
            root, _, rest = node.module.partition(".")
            if root == "dealquest" and rest and rest.split(".")[0] != own:
                yield node.module


def test_outsiders_import_faces() -> None:
    """What another room imports is a room's face, never a file inside it, so that its files may change."""
    inside = {
        f"{path.relative_to(ROOT)}: {module}"
        for path in [*CORE.rglob("*.py"), *OUTSIDE]
        for module in foreign_imports(path)
        if module.count(".") > 1 and not CORE.joinpath(*module.split(".")[1:], "__init__.py").exists()
    }
    assert not inside


@pytest.mark.parametrize("face", FACES)
def test_a_face_keeps_what_it_promises(face: str) -> None:
    """Each name of `__all__` is there, the late ones too."""
    module = import_module(face)
    assert module.__all__
    assert not [name for name in module.__all__ if not hasattr(module, name)]
