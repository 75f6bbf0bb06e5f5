"""Who may use the bot, and who is its admin: lists of the operator, decided by number.

Pure but for `decide_access`, which asks a port. A numeric id is proof for ever. A name is not: Telegram
lets anybody take a name that its owner gave up, so a listed name admits whoever shows it first, once,
and from then on only that account's id.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol, TypeAlias

import attrs

from dealquest.errors import SettingsError

from .bot_keys import MAX_ID

Reason: TypeAlias = Literal["everyone", "id", "name_claimed", "name_free", "name_of_another", "admin", "not_listed"]

_ID = re.compile(r"[1-9][0-9]{0,15}")
_NAME = re.compile(r"[a-z0-9_]{1,32}")


@attrs.frozen(kw_only=True)
class Decision:
    """One answer and why.

    Attributes:
        granted: Whether the answer is yes.
        reason: `everyone`: the list is empty · `id`: the id is listed · `name_claimed`: a listed name belongs to
            this id · `name_free`: the listed name is still free, so claim it before acting · `admin`: admins
            may use the bot · `name_of_another`: the listed name belongs to another id · `not_listed`.
        claim: The name to claim, with `name_free` only.
    """

    granted: bool
    reason: Reason
    claim: str | None = None


@attrs.frozen(kw_only=True)
class Access:
    """What one person may do."""

    use: Decision
    admin: Decision


class NameClaims(Protocol):
    """Which id a listed name belongs to. Rows; a claim is never moved by us."""

    async def owners(self) -> Mapping[str, int]:
        """Every claimed name, case-folded, and the Telegram id that claimed it."""
        ...

    async def claim(self, name: str, telegram_id: int) -> int:
        """Give a free name to this id, atomically, and return the id that owns it now."""
        ...


@attrs.frozen
class _List:
    ids: frozenset[int]
    names: frozenset[str]

    def decide(self, telegram_id: int, name: str | None, owners: Mapping[str, int]) -> Decision:
        if telegram_id in self.ids:
            return Decision(granted=True, reason="id")
        if any(owners.get(listed) == telegram_id for listed in self.names):
            return Decision(granted=True, reason="name_claimed")
        if name is None or name not in self.names:
            return Decision(granted=False, reason="not_listed")
        if name in owners:
            return Decision(granted=False, reason="name_of_another")
        return Decision(granted=True, reason="name_free", claim=name)


@attrs.frozen
class AccessPolicy:
    """The operator's two lists. Build it with `from_lists`."""

    _allowed: _List
    _admins: _List

    @classmethod
    def from_lists(cls, allowed: Iterable[str], admins: Iterable[str]) -> "AccessPolicy":
        """Read `ALLOWED_USERNAMES` and `ADMIN_USERNAMES`: ids, or names with or without @.

        Raises:
            SettingsError: `auth.access.entry` for what is neither.

        >>> policy = AccessPolicy.from_lists(["@Ann", "42"], [])
        >>> policy.decide(42, None).use.reason, policy.decide(7, "Bob").use.reason
        ('id', 'not_listed')
        """
        return cls(_read_list("ALLOWED_USERNAMES", allowed), _read_list("ADMIN_USERNAMES", admins))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should hear at start."""
        found = []
        if not self._allowed.ids and not self._allowed.names:
            found.append("ALLOWED_USERNAMES is empty: everyone may use the bot and spend the team's model key")
        if names := sorted(self._allowed.names | self._admins.names):
            found.append(f"names can change hands, ids cannot; prefer the numeric ids of {', '.join(names)}")
        return tuple(found)

    def decide(self, telegram_id: int, username: str | None, owners: Mapping[str, int] | None = None) -> Access:
        """Decide for one person.

        Args:
            telegram_id: The proven id.
            username: The name they show now, with or without @.
            owners: Claimed names and their ids, as `NameClaims.owners` returns them.
        """
        name = _fold(username) if username else None
        owners = owners or {}
        admin = self._admins.decide(telegram_id, name, owners)
        if admin.granted:
            return Access(use=Decision(granted=True, reason="admin", claim=admin.claim), admin=admin)
        if not self._allowed.ids and not self._allowed.names:
            return Access(use=Decision(granted=True, reason="everyone"), admin=admin)
        return Access(use=self._allowed.decide(telegram_id, name, owners), admin=admin)


async def decide_access(policy: AccessPolicy, claims: NameClaims, telegram_id: int, username: str | None) -> Access:
    """Decide for one person, and claim their listed name where it is still free.

    Two accounts that show one name at the same moment are told apart by the claim: one of them gets it.
    """
    access = policy.decide(telegram_id, username, await claims.owners())
    name = access.use.claim
    if name is None:
        return access
    owner = await claims.claim(name, telegram_id)
    return policy.decide(telegram_id, username, {**await claims.owners(), name: owner})


def _read_list(variable: str, entries: Iterable[str]) -> _List:
    ids: set[int] = set()
    names: set[str] = set()
    for entry in entries:
        name = _fold(entry)
        if name is not None and _ID.fullmatch(name) and int(name) <= MAX_ID:
            ids.add(int(name))
        elif name is not None and not name.isdecimal():
            names.add(name)
        else:
            raise SettingsError(f"{variable} holds {entry!r}, which is neither a Telegram id nor a name", code="auth.access.entry")
    return _List(frozenset(ids), frozenset(names))


def _fold(username: str) -> str | None:
    """A name as lists hold it; None for what cannot be a Telegram name, look-alikes included."""
    name = username.strip().removeprefix("@")
    # ASCII is asked for before folding: the Kelvin sign folds to "k".
    return folded if name.isascii() and _NAME.fullmatch(folded := name.casefold()) else None
