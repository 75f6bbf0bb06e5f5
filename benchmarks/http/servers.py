"""The servers that are measured: ours as it ships, and a bare application under the same uvicorn options as the floor."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import attrs

HERE = Path(__file__).parent


@attrs.frozen
class Server:
    """A running server."""

    pid: int
    port: int
    started_s: float

    def memory_mb(self) -> float:
        """Its proportional share of memory, children of its own kind excluded (PostgreSQL is another program)."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024

    def cpu_s(self) -> float:
        """Processor seconds it has used: what a crowded machine does not change."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        """Open files."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208  # counted often


@contextmanager
def data_home() -> Iterator[Path]:
    """A data folder that PostgreSQL's account may enter."""
    parent = Path(tempfile.mkdtemp(prefix="dealquest-bench-"))
    parent.chmod(0o711)
    try:
        yield parent / "home"
    finally:
        shutil.rmtree(parent, ignore_errors=True)


@contextmanager
def ours(home: Path, more: Mapping[str, str] = MappingProxyType({})) -> Iterator[Server]:
    """`dealquest serve`, one worker, its limit of requests off."""
    environ = {"DEALQUEST_HOME": str(home), "HTTP_REQUEST_LIMIT": "0", **more}
    with _running([sys.executable, "-m", "dealquest", "serve"], "/api/health", environ) as found:
        yield found


@contextmanager
def floor() -> Iterator[Server]:
    """A bare ASGI application that answers one fixed JSON."""
    with _running([sys.executable, str(HERE / "floor.py")], "/", {}) as found:
        yield found


@contextmanager
def _running(command: list[str], path: str, environ: dict[str, str]) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "TMPDIR"}}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [*command, "--port", str(port)], env={**kept, **environ}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not _answers(f"http://127.0.0.1:{port}{path}"):
            assert process.poll() is None, "the server ended"
            assert time.perf_counter() - begun < 60, "the server does not come up"
            time.sleep(0.01)
        yield Server(process.pid, port, time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
