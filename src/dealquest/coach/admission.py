"""Who may talk to the coach and who sees the admin views, for every channel: the operator's lists, claims as rows.

Deciding is `dealquest.auth`; this keeps which name belongs to which id where every process sees it.
"""

from collections.abc import Mapping

from dealquest.auth import AccessPolicy, decide_access
from dealquest.values import Clock

from .dialogue import Person
from .effects import Looks

CLAIMS_KNOWN_FOR_S = 60.0
"""A claim is never moved by us, so only one that the operator took back is noticed late."""


class NameRows:
    """Claimed names as rows: the port of `decide_access`.

    Args:
        records: Storage with the rights of the service role.
        clock: Where time comes from.
    """

    def __init__(self, records: Looks, clock: Clock) -> None:
        self._records = records
        self._clock = clock
        self._owners: Mapping[str, int] = {}
        self._read_at: float | None = None

    async def owners(self) -> Mapping[str, int]:
        """Every claimed name and its owner's id."""
        now = self._clock.monotonic()
        if self._read_at is None or now - self._read_at > CLAIMS_KNOWN_FOR_S:
            self._owners, self._read_at = dict(await self._records.rpc("name_owners")), now
        return self._owners

    async def claim(self, name: str, telegram_id: int) -> int:
        """Give a free name to an id; the id that owns it now."""
        owner = int(await self._records.rpc("claim_name", wanted=name, by_telegram_id=telegram_id))
        self._owners = {**self._owners, name: owner}
        return owner


class Admission:
    """The operator's lists, decided for one person at a time.

    Args:
        policy: The lists.
        claims: Which id a listed name belongs to.
    """

    def __init__(self, policy: AccessPolicy, claims: NameRows) -> None:
        self._policy = policy
        self._claims = claims

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should hear at start."""
        return self._policy.warnings

    async def may_use(self, person: Person) -> bool:
        """Whether this person may use the coach; who sits at the terminal owns the machine."""
        if person.telegram_id is None:
            return person.local_name is not None
        return (await decide_access(self._policy, self._claims, person.telegram_id, person.username)).use.granted

    async def is_admin(self, person: Person) -> bool:
        """Whether this person sees the admin views; the same at the terminal."""
        if person.telegram_id is None:
            return person.local_name is not None
        return (await decide_access(self._policy, self._claims, person.telegram_id, person.username)).admin.granted
