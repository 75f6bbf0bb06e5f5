"""The notebooks run from clean kernels, without a network, and carry no outputs in the tree."""

import json
import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples/notebooks").glob("*.ipynb"))
# No name is resolved and no address outside of this machine is reached: what tries fails the cell.
OFFLINE = """
import socket, sys
sys.addaudithook(lambda event, args: (_ for _ in ()).throw(OSError("no network in this notebook"))
    if event == "socket.getaddrinfo" or (event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] != "127.0.0.1") else None)
"""

# In a process of its own: the kernel's client libraries leave loops and sockets to the end of the process.
RUNNER = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
notebook.cells.insert(0, nbformat.v4.new_code_cell(sys.argv[3]))
NotebookClient(notebook, timeout=180, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def test_there_are_four() -> None:
    """First evaluation, comparing models, calibrating a judge, reading traces."""
    assert len(NOTEBOOKS) == 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_carries_no_outputs(path: Path) -> None:
    """What a cell shows is made when it runs."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    assert all(cell.get("outputs", []) == [] and cell.get("execution_count") is None for cell in cells)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Future[Any]]:
    """Every notebook, run in a kernel of its own; two at a time."""
    pool = ThreadPoolExecutor(2)
    return {path: pool.submit(execute, path, tmp_path_factory.mktemp(path.stem)) for path in NOTEBOOKS}


def execute(path: Path, home: Path) -> Any:
    # The kernel is Jupyter's, which warns of things of its own on newer Pythons.
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_BASE_URL", "PYTHONWARNINGS"))}
    places = dict.fromkeys(("HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "MPLCONFIGDIR"), str(home))
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(path), str(home / "done.ipynb"), OFFLINE],
        env=kept | places,
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((home / "done.ipynb").read_text("utf-8"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_a_clean_kernel(path: Path, executed: dict[Path, Future[Any]]) -> None:
    """Every cell runs, tables and pictures arrive, nothing comes from outside."""
    notebook = executed[path].result(timeout=400)
    shown = [output for cell in notebook["cells"] if cell["cell_type"] == "code" for output in cell["outputs"]]
    kinds = {kind for output in shown for kind in output.get("data", {})}
    assert "text/html" in kinds
    assert "image/png" in kinds or "traces" in path.stem
    pages = "".join("".join(output["data"]["text/html"]) for output in shown if "text/html" in output.get("data", {}))
    assert not any(mark in pages for mark in ("<script", "http://", "https://", "src="))
    assert not [output for output in shown if output["output_type"] == "error"]
