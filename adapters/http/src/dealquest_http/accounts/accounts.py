"""What the routes of this room share: the rows of accounts, their sessions, their passwords."""

import uuid
from typing import Any

import attrs
from starlette.requests import Request

from dealquest.errors import DeniedError, LimitError
from dealquest.storage import Postgrest
from dealquest_http.callers import Caller
from dealquest_http.guards import counted_as
from dealquest_http.shared import Shared

from .passwords import Passwords
from .sessions import Sessions

ADMIN_ID = "00000000-0000-0000-0000-000000000001"

User = dict[str, Any]
"""An account as the clients read it: id, email, emailVerified, providers, createdAt, updatedAt, profile, metadata."""


@attrs.frozen(kw_only=True)
class Accounts:
    """What the routes of this room share.

    Attributes:
        shared: What all rooms share.
        records: Storage with the rights of the service role.
        passwords: Hashes in worker threads.
        sessions: Opens, renews and ends sessions.
    """

    shared: Shared
    records: Postgrest
    passwords: Passwords
    sessions: Sessions

    async def config(self) -> dict[str, Any]:
        """How people sign up and in."""
        found: dict[str, Any] = await self.records.rpc("account_config").repeatable()
        return found

    async def user_of(self, caller: Caller) -> User:
        """The caller's own account.

        Raises:
            DeniedError: `http.account.gone`: a Telegram user's session, a key, or an account that was deleted.
        """
        if caller.proof == "session" and (user_id := read_uuid(caller.subject or "")) is not None:
            user: User | None = await self.records.rpc("account_find", user_id=user_id).repeatable()
            if user is not None:
                return user
        raise DeniedError("There is no account behind this session; sign in again.", code="http.account.gone")

    async def prove_password(self, email: str, password: str, *, address: str, door: str = "sign_in") -> User:
        """The account, if this is its password; known and unknown addresses cost the same and get the same answer.

        Raises:
            DeniedError: `http.account.password_wrong`.
            LimitError: `http.account.tries`, `http.busy`.
        """
        names = {"for_email": email, "from_address": address, "at_door": door}
        begun = await self.records.rpc("account_begin_sign_in", **names)
        if begun["wait_s"] > 0:
            raise too_many_tries(begun["wait_s"])
        succeeded = False
        try:
            succeeded = await self.passwords.verify(password, begun["password"])
        except LimitError:
            # Nothing was tried: the try is given back as neither failure nor success of this account.
            await self.records.rpc("account_drop_sign_in", **names).run()
            raise
        await self.records.rpc("account_end_sign_in", **names, succeeded=succeeded).run()
        if not succeeded:
            raise wrong_password()
        user: User = begun["user"]
        return user


def open_accounts(shared: Shared) -> Accounts:
    """This room's parts over what all rooms share."""
    assert shared.settings.jwt_secret is not None
    records = shared.kit.records
    return Accounts(
        shared=shared,
        records=records,
        passwords=Passwords(),
        sessions=Sessions(records=records, tokens=shared.tokens, secret=shared.settings.jwt_secret, clock=shared.clock),
    )


def read_uuid(text: str) -> str | None:
    """A uuid in its usual spelling, or None."""
    try:
        found = str(uuid.UUID(text))
    except ValueError:
        return None
    return found if found == text.lower() else None


def address_of(request: Request) -> str:
    """Whom a limit of tries counts: the caller's address, or the network that one IPv6 customer owns."""
    return counted_as(request.state.client_address)


def wrong_password() -> DeniedError:
    """One text for an unknown address and a wrong password."""
    return DeniedError("The e-mail address or the password is wrong.", code="http.account.password_wrong")


def too_many_tries(wait_s: float) -> LimitError:
    """The refusal before a password is looked at."""
    return LimitError("Too many tries; wait, then try again.", code="http.account.tries", retryable=True, retry_after_s=wait_s)
