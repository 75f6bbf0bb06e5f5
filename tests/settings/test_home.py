"""Where data lives when nothing is said: the machine's place for root, a user's own place for everybody else."""

import os
from pathlib import Path

import pytest

from dealquest.settings import load_settings


@pytest.mark.parametrize(
    ("data_home", "home"),
    [
        ("/somewhere/data", "/somewhere/data/dealquest"),
        ("relative", "/home/ann/.local/share/dealquest"),
        ("", "/home/ann/.local/share/dealquest"),
    ],
)
def test_an_ordinary_user_has_a_place_of_their_own(monkeypatch: pytest.MonkeyPatch, data_home: str, home: str) -> None:
    """`XDG_DATA_HOME` where it is absolute, as its specification says, else the usual folder below the home."""
    monkeypatch.delenv("DEALQUEST_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", data_home)
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert load_settings().home == Path(home)


def test_root_uses_the_machines_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server that root starts runs as somebody else, who could not enter root's home."""
    monkeypatch.delenv("DEALQUEST_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert load_settings().home == Path("/var/lib/dealquest")
