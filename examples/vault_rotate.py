"""Keep users' keys sealed, bound to their owner, and change the master key without a pause."""

from collections.abc import Sequence
from datetime import UTC, datetime

import anyio

from dealquest.errors import DeniedError
from dealquest.values import Secret
from dealquest.vault import Resealed, SealedRow, Vault, generate_key, rotate_rows

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class Rows:
    """`SealedRows` in a dict; yours is a column, updated only where the old text still stands."""

    def __init__(self, tokens: dict[str, str]) -> None:
        self.tokens = tokens

    async def read(self, *, after: str | None, limit: int) -> Sequence[SealedRow]:
        keys = [key for key in sorted(self.tokens) if after is None or key > after]
        return [SealedRow(key=key, token=self.tokens[key]) for key in keys[:limit]]

    async def write(self, changes: Sequence[Resealed]) -> int:
        fitting = [change for change in changes if self.tokens[change.key] == change.old]
        self.tokens.update({change.key: change.new for change in fitting})
        return len(fitting)


async def main() -> None:
    old, new = generate_key(), generate_key()
    vault = Vault([old])
    rows = Rows({owner: vault.seal(Secret(f"sk-{owner}"), owner=owner, purpose="openrouter", now=NOW) for owner in ("17", "18", "19")})

    secret = vault.open(rows.tokens["17"], owner="17", purpose="openrouter", now=NOW)
    print("opened for its owner:", secret, "of", len(secret.reveal()), "characters")
    try:
        vault.open(rows.tokens["17"], owner="18", purpose="openrouter", now=NOW)
    except DeniedError as error:
        print("copied to another row:", error.code)

    rotation = await rotate_rows(Vault([new, old]), rows)  # ENCRYPTION_KEY=new,old
    print(rotation, "the old key may go:", rotation.old_keys_may_go)
    print("new key alone:", Vault([new]).open(rows.tokens["19"], owner="19", purpose="openrouter", now=NOW))


if __name__ == "__main__":
    anyio.run(main)
