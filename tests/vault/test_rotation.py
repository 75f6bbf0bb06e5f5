"""Rotation of stored rows: resumable, and every row readable at every moment (V5)."""

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dealquest.errors import InputError
from dealquest.values import Secret
from dealquest.vault import Resealed, Rotation, SealedRow, Vault, generate_key, rotate_rows

sys.path.insert(0, str(Path(__file__).parent))
from rotation_worker import FolderRows  # the worker stands beside this file

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
OLD, NEW, LOST = generate_key(), generate_key(), generate_key()
BEFORE, BOTH, AFTER = Vault([OLD]), Vault([NEW, OLD]), Vault([NEW])


class ListedRows:
    """`SealedRows` in memory; it keeps what was asked of it."""

    def __init__(self, tokens: dict[str, str], meddle: str | None = None) -> None:
        self.tokens = tokens
        self.meddle = meddle
        self.reads: list[tuple[str | None, int]] = []
        self.writes: list[int] = []

    async def read(self, *, after: str | None, limit: int) -> Sequence[SealedRow]:
        self.reads.append((after, limit))
        return [SealedRow(key=key, token=token) for key, token in sorted(self.tokens.items()) if after is None or key > after][:limit]

    async def write(self, changes: Sequence[Resealed]) -> int:
        self.writes.append(len(changes))
        if self.meddle:
            self.tokens[self.meddle] = sealed(self.meddle, BOTH)
        written = [change for change in changes if self.tokens[change.key] == change.old]
        self.tokens.update({change.key: change.new for change in written})
        return len(written)


def sealed(owner: str, vault: Vault = BEFORE) -> str:
    return vault.seal(Secret(f"sk-{owner}"), owner=owner, purpose="openrouter", now=NOW)


def reads(vault: Vault, owner: str, token: str) -> bool:
    return vault.open(token, owner=owner, purpose="openrouter", now=NOW).reveal() == f"sk-{owner}"


async def test_every_row_is_sealed_anew() -> None:
    """All rows open with the new key alone afterwards, read and written in batches."""
    rows = ListedRows({f"{number:03}": sealed(f"{number:03}") for number in range(25)})
    assert await rotate_rows(BOTH, rows, batch=10) == Rotation(resealed=25)
    assert all(reads(AFTER, key, token) for key, token in rows.tokens.items())
    assert rows.reads == [(None, 10), ("009", 10), ("019", 10), ("024", 10)]
    assert rows.writes == [10, 10, 5]


async def test_a_second_run_changes_nothing() -> None:
    """Rows of the first key are passed over, and nothing is written."""
    rows = ListedRows({key: sealed(key, BOTH) for key in "abc"})
    before = dict(rows.tokens)
    assert await rotate_rows(BOTH, rows) == Rotation(current=3)
    assert (rows.tokens, rows.writes) == (before, [])
    assert rows.reads == [(None, 100), ("c", 100)]


async def test_no_rows() -> None:
    """An empty store is done at once, and its old keys may go."""
    rotation = await rotate_rows(BOTH, ListedRows({}))
    assert rotation == Rotation()
    assert rotation.old_keys_may_go


async def test_a_row_written_meanwhile_is_left_alone() -> None:
    """A row that its user replaces during the run keeps the user's text, and the run says that it must come again."""
    rows = ListedRows({key: sealed(key) for key in "abc"}, meddle="b")
    rotation = await rotate_rows(BOTH, rows, batch=2)
    assert rotation == Rotation(resealed=2, changed=1)
    assert not rotation.old_keys_may_go
    rows.meddle = None
    again = await rotate_rows(BOTH, rows)
    assert (again, again.old_keys_may_go) == (Rotation(current=3), True)
    assert all(reads(AFTER, key, token) for key, token in rows.tokens.items())


async def test_v5_a_key_removed_too_early_is_named() -> None:
    """Rows that no key opens are reported and kept, the others rotated; with the key back they follow."""
    rows = ListedRows({"a": sealed("a"), "b": sealed("b", Vault([LOST])), "c": "junk", "d": sealed("d", BOTH)})
    rotation = await rotate_rows(BOTH, rows)
    assert rotation == Rotation(resealed=1, current=1, unreadable=("b", "c"))
    assert not rotation.old_keys_may_go
    rows.tokens.pop("c")
    assert await rotate_rows(Vault([NEW, OLD, LOST]), rows) == Rotation(resealed=1, current=2)
    assert reads(AFTER, "b", rows.tokens["b"])


@pytest.mark.parametrize("batch", [0, -1])
async def test_a_batch_has_a_row(batch: int) -> None:
    """A batch below one would never end, so it is refused."""
    with pytest.raises(InputError) as caught:
        await rotate_rows(BOTH, ListedRows({}), batch=batch)
    assert caught.value.code == "vault.batch.size"
    assert await rotate_rows(BOTH, ListedRows({"a": sealed("a")}), batch=1) == Rotation(resealed=1)


def test_tokens_stay_out_of_reprs() -> None:
    """Printing a row or a change shows its key only."""
    assert "secret-token" not in repr(SealedRow(key="k", token="secret-token")) + repr(
        Resealed(key="k", old="secret-token", new="secret-token")
    )


def test_v5_killed_half_way_and_run_again(tmp_path: Path) -> None:
    """Killed three times at random moments, every row opens with both keys each time; a last run finishes."""
    owners = [f"{number:04}" for number in range(90)]
    for owner in owners:
        (tmp_path / owner).write_text(sealed(owner))
    worker = [sys.executable, str(Path(__file__).parent / "rotation_worker.py"), str(tmp_path), f"{NEW.reveal()},{OLD.reveal()}"]
    chance = random.Random(5)
    done = 0
    for _ in range(3):
        target = done + chance.randint(5, 15)
        process = subprocess.Popen([*worker, "0.03"], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while sum(BOTH.is_current((tmp_path / owner).read_text()) for owner in owners) < target:
            assert time.monotonic() < deadline, "the worker does not work"
            time.sleep(0.005)
        process.kill()
        process.wait()
        tokens = {owner: (tmp_path / owner).read_text() for owner in owners}
        assert all(reads(BOTH, owner, token) for owner, token in tokens.items())
        now_done = sum(BOTH.is_current(token) for token in tokens.values())
        assert done < now_done < len(owners), "it was killed half way, and nothing went back"
        done = now_done
    finished = subprocess.run([*worker, "0"], capture_output=True, text=True, check=True)
    assert finished.stdout.strip() == repr(Rotation(resealed=len(owners) - done, current=done))
    assert all(reads(AFTER, owner, (tmp_path / owner).read_text()) for owner in owners)


async def test_the_folder_store_keeps_the_port(tmp_path: Path) -> None:
    """The store used in the kill test stores a change only where the old text still stands."""
    rows = FolderRows(tmp_path)
    (tmp_path / "a").write_text("old")
    assert await rows.write([Resealed(key="a", old="other", new="new")]) == 0
    assert await rows.write([Resealed(key="a", old="old", new="new")]) == 1
    assert [row.token for row in await rows.read(after=None, limit=5)] == ["new"]
