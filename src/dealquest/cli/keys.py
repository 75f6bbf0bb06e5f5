"""`dealquest keys`: make an encryption key, and seal stored keys anew after a change."""

from collections.abc import Sequence

import anyio
from cyclopts import App

from dealquest.compose import open_kit
from dealquest.errors import DealQuestError
from dealquest.settings import load_settings
from dealquest.storage import Postgrest
from dealquest.vault import Resealed, SealedRow, Vault, generate_key, rotate_rows

app = App(name="keys", help="Encryption keys: make one, rotate the stored secrets.")


@app.command
def generate() -> None:
    """Print a new key for ENCRYPTION_KEY (to rotate, put it before the old one and a comma), or another for JWT_SECRET."""
    print(generate_key().reveal())


@app.command
def rotate() -> None:
    """Seal every stored key with the first ENCRYPTION_KEY. May be stopped at any moment and run again."""
    anyio.run(_rotate)


class UserKeys:
    """The stored keys of users, as the vault's rotation reads them."""

    def __init__(self, records: Postgrest) -> None:
        self._records = records

    async def read(self, *, after: str | None, limit: int) -> Sequence[SealedRow]:
        """The next rows by id."""
        reading = self._records.table("user_keys").select("id", "sealed_key").order("id").limit(limit)
        if after is not None:
            reading = reading.where(id__gt=int(after))
        return [SealedRow(key=str(row["id"]), token=str(row["sealed_key"])) for row in await reading.all()]

    async def write(self, changes: Sequence[Resealed]) -> int:
        """Replace tokens that nobody changed meanwhile; each row is one statement."""
        stored = 0
        for change in changes:
            writing = self._records.table("user_keys").update({"sealed_key": change.new})
            stored += len(await writing.where(id__eq=int(change.key), sealed_key__eq=change.old).all())
        return stored


async def _rotate() -> None:
    settings = load_settings()
    vault = Vault(settings.encryption_keys, other_secrets=[settings.jwt_secret] if settings.jwt_secret else [])
    async with open_kit(settings) as kit:
        done = await rotate_rows(vault, UserKeys(kit.records))
    print(f"{done.resealed} sealed anew, {done.current} were up to date, {done.changed} changed meanwhile")
    if done.unreadable:
        raise DealQuestError(
            f"{len(done.unreadable)} rows open with none of the keys. "
            "Put the missing key back into ENCRYPTION_KEY, behind the others, and run it again.",
            code="vault.rotation.unreadable",
        )
    if done.old_keys_may_go:
        print("The older keys may be taken out of ENCRYPTION_KEY.")
