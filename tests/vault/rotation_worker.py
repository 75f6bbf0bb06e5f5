"""A process that rotates a folder of sealed rows, slowly, until somebody kills it.

Usage: rotation_worker.py FOLDER KEYS PAUSE_S. Each row is one file, replaced by rename; that is the port's
promise of one row at a time.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import anyio

from dealquest.values import Secret
from dealquest.vault import Resealed, SealedRow, Vault, rotate_rows


class FolderRows:
    """`SealedRows` in a folder."""

    def __init__(self, folder: Path, pause_s: float = 0) -> None:
        self.folder = folder
        self.pause_s = pause_s

    async def read(self, *, after: str | None, limit: int) -> Sequence[SealedRow]:
        keys = sorted(path.name for path in self.folder.iterdir() if not path.name.startswith("."))
        wanted = [key for key in keys if after is None or key > after][:limit]
        return [SealedRow(key=key, token=(self.folder / key).read_text()) for key in wanted]

    async def write(self, changes: Sequence[Resealed]) -> int:
        stored = 0
        for change in changes:
            await anyio.sleep(self.pause_s)
            if (self.folder / change.key).read_text() == change.old:
                spare = self.folder / f".{change.key}.{os.getpid()}"
                spare.write_text(change.new)
                spare.rename(self.folder / change.key)
                stored += 1
        return stored


if __name__ == "__main__":
    vault = Vault([Secret(key) for key in sys.argv[2].split(",")])
    sys.stdout.write(repr(anyio.run(lambda: rotate_rows(vault, FolderRows(Path(sys.argv[1]), float(sys.argv[3])), batch=7))))
