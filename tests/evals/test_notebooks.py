"""The notebooks run from clean kernels, without a network, and carry no outputs in the tree."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples/notebooks").glob("*.ipynb"))
# No name is resolved and no address outside of this machine is reached: what tries fails the cell.
OFFLINE = """
import socket, sys
sys.addaudithook(lambda event, args: (_ for _ in ()).throw(OSError("no network in this notebook"))
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] != "127.0.0.1") else None)
"""


def test_there_are_four() -> None:
    """First evaluation, comparing models, calibrating a judge, reading traces."""
    assert len(NOTEBOOKS) == 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_carries_no_outputs(path: Path) -> None:
    """What a cell shows is made when it runs."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    assert all(cell.get("outputs", []) == [] and cell.get("execution_count") is None for cell in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
@pytest.mark.filterwarnings("default")  # the kernel's client libraries warn as they like
def test_a_notebook_runs_from_a_clean_kernel(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell runs, tables and pictures arrive, nothing comes from outside."""
    for name in ("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("OPENROUTER_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(OFFLINE))
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    kinds = {kind for output in shown for kind in output.get("data", {})}
    assert "text/html" in kinds
    pages = "".join(output["data"]["text/html"] for output in shown if "text/html" in output.get("data", {}))
    assert not any(mark in pages for mark in ("<script", "http://", "https://", "src="))
    assert not [output for output in shown if output.output_type == "error"]
