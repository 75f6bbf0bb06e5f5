"""Which person of the coach a caller is: the caller's proof decides, never the request.

A numeric subject is a row of `users` (Telegram sign-in, dev sign-in); any other is an account of this server and
gets a person of its own.
"""

import re

import attrs

from dealquest.coach.dialogue import Person
from dealquest.compose import Kit
from dealquest.errors import DeniedError
from dealquest_http.callers import Caller

ACCOUNT = "account:"
MAX_NAME = 64

_NUMBER = re.compile(r"[1-9][0-9]{0,17}")


@attrs.frozen(kw_only=True)
class _Row:
    telegram_id: int | None = None
    local_name: str | None = None
    username: str | None = None
    first_name: str = ""
    language: str = "en"


@attrs.frozen
class Seat:
    """A person and the one conversation that is theirs over HTTP."""

    person: Person
    chat: str


async def seat_of(caller: Caller, kit: Kit) -> Seat:
    """The caller's seat.

    Raises:
        DeniedError: `http.coach.no_person` for a key without a person, `http.coach.user_gone` for a deleted one, `http.coach.not_allowed`
            for one whom the operator's list lets in no more.
    """
    subject = caller.subject
    if subject is None or caller.role == "anon":
        raise DeniedError(
            "The coach talks with people; sign in as one instead of sending a key.", code="http.coach.no_person", forbidden=True
        )
    if _NUMBER.fullmatch(subject) is None:
        name = caller.claims.get("name")
        first_name = name[:MAX_NAME] if isinstance(name, str) else ""
        return Seat(Person(local_name=ACCOUNT + subject, first_name=first_name), ACCOUNT + subject)
    rows = await kit.records.table("users").where(id=int(subject)).select(*attrs.fields_dict(_Row)).all(_Row)
    if not rows:
        raise DeniedError("This user does not exist any more; sign in again.", code="http.coach.user_gone")
    # The stored names go back unchanged: the turn writes what the event says of its person.
    row = rows[0]
    person = Person(
        telegram_id=row.telegram_id,
        local_name=row.local_name,
        username=row.username,
        first_name=row.first_name,
        language=row.language,
    )
    if person.telegram_id is not None and not await kit.admission.may_use(person):
        raise DeniedError("The operator's list does not let you in any more.", code="http.coach.not_allowed", forbidden=True)
    return Seat(person, f"user:{subject}")
