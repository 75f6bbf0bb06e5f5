"""Values that several rooms share: who asks, what it cost, what time it is, what must stay secret.

No behaviour beyond what makes a value safe to hold; no I/O but the system clock.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Literal, NoReturn, Protocol, TypeAlias

import attrs

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"
JsonObject: TypeAlias = Mapping[str, Json]
Usd: TypeAlias = Decimal

Role: TypeAlias = Literal["anon", "authenticated", "project_admin"]
ROLES: tuple[Role, ...] = ("anon", "authenticated", "project_admin")

_NO_CLAIMS: Mapping[str, Json] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class Principal:
    """Who is asking, after proof: a database role and the claims that row-level security reads.

    Attributes:
        role: One of the closed list `ROLES`.
        subject: The user's id as text; None for anon and for the service role.
        claims: Further claims, such as `telegram_id`; JSON values only.
    """

    role: Role
    subject: str | None = None
    claims: Mapping[str, Json] = attrs.field(default=_NO_CLAIMS, hash=False)

    def to_claims(self) -> dict[str, Json]:
        """The object that PostgreSQL sees as `request.jwt.claims`."""
        claims: dict[str, Json] = {**self.claims, "role": self.role}
        if self.subject is not None:
            claims["sub"] = self.subject
        return claims


ANON = Principal(role="anon")
SERVICE = Principal(role="project_admin")


@attrs.frozen(kw_only=True)
class Usage:
    """Tokens of one model call, normalised once.

    Attributes:
        input_tokens: All input, cached tokens included.
        output_tokens: All output, reasoning included.
        cached_tokens: The part of the input read from a cache.
        cache_write_tokens: The part of the input written to a cache.
        reasoning_tokens: The part of the output spent on reasoning.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input plus output."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        """The sum of two calls."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )


class Secret:
    """A text that never shows itself: prints as `***`, does not pickle, compares in no useful way.

    Read it with `reveal()` at the one line that needs it.

    >>> str(Secret("sk-123")), repr(Secret("sk-123")), f"{Secret('sk-123')}"
    ('***', "Secret('***')", '***')
    """

    __slots__ = ("_reveal",)

    def __init__(self, text: str) -> None:
        # A closure keeps the text out of vars(), __slots__ walks and captured frames of this object.
        object.__setattr__(self, "_reveal", lambda: text)

    def reveal(self) -> str:
        """The text itself."""
        text: str = self._reveal()  # type: ignore[attr-defined]  # set through object.__setattr__
        return text

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret does not change")

    def __bool__(self) -> bool:
        return bool(self.reveal())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        import hmac  # noqa: PLC0415  # rarely needed, and values must import fast

        # An error of the codec would carry the text.
        return hmac.compare_digest(self.reveal().encode("utf-8", "surrogatepass"), other.reveal().encode("utf-8", "surrogatepass"))

    def __hash__(self) -> int:
        return hash((Secret, self.reveal()))

    def __repr__(self) -> str:
        return "Secret('***')"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret does not pickle; pass the variable's name instead")


class Clock(Protocol):
    """Where time comes from: wall time for records, monotonic time for waiting."""

    def now(self) -> datetime:
        """The wall time as an aware UTC datetime."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The wall time as an aware UTC datetime."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never run backwards."""
        return time.monotonic()
