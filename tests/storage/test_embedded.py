"""The embedded PostgreSQL: one server a folder, shared, stopped by the last one, unharmed by kill -9."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psycopg
import pytest

from dealquest.errors import SettingsError
from dealquest.storage.embedded import EmbeddedPostgres

HOLD = textwrap.dedent("""
    import sys
    from pathlib import Path
    from dealquest.storage.embedded import EmbeddedPostgres
    with EmbeddedPostgres(Path(sys.argv[1])) as server:
        print("up", flush=True)
        sys.stdin.readline()
""")


def hold(home: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    return process


def release(process: "subprocess.Popen[str]") -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def is_up(server: EmbeddedPostgres) -> bool:
    try:
        psycopg.connect(server.dsn(), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_second_process_shares_the_server_and_the_last_one_stops_it(home: Path) -> None:
    """Two processes use one server; it runs until the second has left, and not longer."""
    first, server = hold(home), EmbeddedPostgres(home)
    second = hold(home)
    release(first)
    assert is_up(server)
    release(second)
    assert not is_up(server)


def test_kill_9_leaves_no_lock_behind(home: Path) -> None:
    """After kill -9 of its only user the server is joined by the next one, and stopped when that one leaves."""
    process = hold(home)
    with psycopg.connect(EmbeddedPostgres(home).dsn(), autocommit=True) as connection:
        connection.execute("create table kept as select 42 as answer")
    process.kill()
    process.communicate()
    with EmbeddedPostgres(home) as server, psycopg.connect(server.dsn()) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)
    assert not is_up(EmbeddedPostgres(home))


def test_kill_9_of_the_server_itself_loses_nothing_committed(home: Path) -> None:
    """A server that was killed comes back with what was committed."""
    with EmbeddedPostgres(home) as server, psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute("create table kept as select 42 as answer")
        os.kill(int((home / "postgres/data-18/postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    with EmbeddedPostgres(home) as server, psycopg.connect(server.dsn()) as connection:
        assert connection.execute("select answer from kept").fetchone() == (42,)


def test_only_its_owner_enters_the_socket_folder(home: Path) -> None:
    """No network, and a socket in a folder of mode 0700."""
    with EmbeddedPostgres(home) as server, psycopg.connect(server.dsn()) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)
        folder = Path(str(connection.info.host))
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A data folder that is a file gives one clear error with the way out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="Set DEALQUEST_HOME") as caught:
        EmbeddedPostgres(tmp_path / "file").start()
    assert caught.value.code == "storage.home"
