"""Where a question can go: providers, routes and their limits, as data.

A base URL comes from the operator's settings or from the closed list here, never from a user; a
user brings a key only.
"""

import re
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from dealquest.errors import InputError
from dealquest.values import Secret
from dealquest.wire import Headers

from .kinds import KINDS, Dialect, Kind, kinds_that_serve
from .models import DEFAULT_MODEL, resolve_model

if TYPE_CHECKING:
    from dealquest.settings import Settings

ANTHROPIC_VERSION = "2023-06-01"
_MODEL = re.compile(r"~?[A-Za-z0-9][A-Za-z0-9._:@/-]{0,199}")


@attrs.frozen(kw_only=True)
class Provider:
    """A server and the key to it.

    Attributes:
        name: Which kind; a name of `KINDS`.
        base_url: Where it is reached; from the operator only.
        key: Its key; None where it wants none.
        own: Whether the key is a user's own, which never falls back to a shared one unless told.
        api_version: The Anthropic API version that is pinned.
    """

    name: str
    base_url: str
    key: Secret | None = None
    own: bool = False
    api_version: str = ANTHROPIC_VERSION

    def __attrs_post_init__(self) -> None:
        """Refuse a kind that nobody knows, and a key that would break out of its header."""
        if self.name not in KINDS:
            raise InputError(f"A provider is one of {', '.join(KINDS)}.", code="llm.input.provider")
        key = self.key.reveal() if self.key else ""
        if any(not 33 <= ord(character) <= 126 for character in key) or len(key) > 512:
            raise InputError("The key holds blanks or characters no key has; paste the key alone.", code="llm.input.key")
        if not self.base_url.startswith(("http://", "https://")):
            raise InputError("A provider's address begins with http:// or https://.", code="llm.input.base_url")

    @property
    def dialect(self) -> Dialect:
        """How it wants to be spoken to."""
        return self.kind.dialect

    @property
    def kind(self) -> Kind:
        """What it does differently from others."""
        return KINDS[self.name]

    @property
    def credentials(self) -> Headers:
        """The headers that say who asks."""
        version = (("anthropic-version", self.api_version),) if self.dialect == "claude" else ()
        if not self.key:
            return version
        name, key = self.kind.key_header, self.key.reveal()
        return (*version, (name, f"Bearer {key}" if name == "authorization" else key))

    @property
    def default_model(self) -> str:
        """What is asked for when nobody names a model."""
        return self.kind.model or DEFAULT_MODEL


@attrs.frozen(kw_only=True)
class Route:
    """One way to an answer: a model at a provider.

    Attributes:
        model: The model's name as that provider knows it.
        provider: Whose server.
        server_fallbacks: Models that OpenRouter itself tries next, without another request of ours.
        attempt_s: Longest single attempt in seconds; the call's deadline holds anyway.
    """

    model: str
    provider: Provider
    server_fallbacks: tuple[str, ...] = ()
    attempt_s: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse names that are no model's."""
        for name in (self.model, *self.server_fallbacks):
            if _MODEL.fullmatch(name) is None:
                raise InputError("That is not a model's name; one looks like openai/gpt-oss-120b.", code="llm.input.model")
        if self.attempt_s is not None and self.attempt_s <= 0:
            raise InputError("attempt_s must be above zero.", code="llm.input.deadline")

    def __str__(self) -> str:
        """Which model, at whom and where, for whoever looks for a fault; an address may hold a password, so its host alone."""
        return f"{self.model} at {self.provider.name} ({urlsplit(self.provider.base_url).netloc.rpartition('@')[2]})"


def providers_of(settings: "Settings") -> tuple[Provider, ...]:
    """The providers that the operator's settings can reach, the preferred one first."""
    found = []
    for kind in KINDS.values():
        address, key = getattr(settings, kind.address), getattr(settings, kind.key)
        if address and (key or not kind.needs_key):
            found.append(Provider(name=kind.name, base_url=address, key=key))
    return tuple(found)


def explain_no_provider(settings: "Settings") -> str:
    """Why nobody can be asked, and which variables would change that."""
    keys = [(kind.key if kind.needs_key else kind.address).upper() for kind in KINDS.values()]
    halves = "".join(
        f" {kind.key.upper()} alone is not enough: {kind.address.upper()} says where its server is."
        for kind in KINDS.values()
        if getattr(settings, kind.key) and not getattr(settings, kind.address)
    )
    return f"No model can be asked: set {', '.join(keys[:-1])} or {keys[-1]}.{halves}"


def own_provider(name: str, key: Secret, settings: "Settings | None") -> Provider:
    """A provider reached with a user's own key.

    Raises:
        InputError: `llm.input.provider` when the name is not on the closed list; `llm.input.key` when the key is no key.
    """
    if not key:
        raise InputError("The key is empty.", code="llm.input.key")
    if settings is None:
        from dealquest.settings import Settings  # noqa: PLC0415  # only its default addresses are wanted

        settings = Settings()
    kind = KINDS.get(name)
    if kind is None or not kind.takes_own_keys:
        allowed = " and ".join(kind.name for kind in KINDS.values() if kind.takes_own_keys)
        raise InputError(f"Keys are taken for {allowed} only.", code="llm.input.provider")
    return Provider(name=name, base_url=getattr(settings, kind.address), key=key, own=True)


def routes_named(model: str, routes: Sequence[Route], providers: Sequence[Provider], *, today: date) -> tuple[Route, ...]:
    """The ways to a model that a caller names: configured routes, else the provider whose model the name looks like.

    Args:
        model: The name.
        routes: Those that are configured.
        providers: Whose servers may be asked.
        today: Decides which models are retired.

    Raises:
        InputError: `llm.input.model` when nobody serves it.
    """
    known = tuple(route for route in routes if route.model == model)
    if known:
        return known
    by_name = {provider.name: provider for provider in reversed(providers)}
    for kind in kinds_that_serve(model):
        if kind.name in by_name:
            return (Route(model=model, provider=by_name[kind.name]),)
        if kind.dialect == "claude" and "openrouter" in by_name:
            # OpenRouter sells the same models under names of its own.
            served = re.sub(r"-(\d)-(\d)$", r"-\1.\2", resolve_model(model, today=today))
            return (Route(model="anthropic/" + served, provider=by_name["openrouter"]),)
    raise InputError(
        "No configured provider serves a model of that name; OpenRouter's look like openai/gpt-oss-120b.", code="llm.input.model"
    )
