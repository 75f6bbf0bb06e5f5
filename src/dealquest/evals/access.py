"""How a run reaches its models: the router, its budget, its transport and cache, made where the work is done.

Everything here can be sent to another process when its parts can: a function that makes a router, never a router itself.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from dealquest.llm import Limits, Provider, Route, Router, SpendBudget, providers_of
from dealquest.settings import load_settings
from dealquest.wire import Transport, open_transport

from .caching import CachedTransport
from .metering import Models

MakeRouter: TypeAlias = Callable[..., Router]

CALL_DEADLINE_S = 120.0


@attrs.frozen(kw_only=True)
class Access:
    """The way to the models.

    Attributes:
        is_needed: Whether anything in the run asks a model.
        calls_at_once: Calls that may be under way at one time.
        llm: A router, or a function that makes one; `Router.from_env` where None.
        transport: How to get there; the fastest one where None.
        cache: A folder that keeps answers.
        replay: Whether only answers from there are taken.
    """

    is_needed: bool
    calls_at_once: int
    llm: Router | MakeRouter | None = None
    transport: Transport | None = None
    cache: Path | None = None
    replay: bool = False

    def check(self) -> None:
        """Find out before anything is written whether the environment names somebody to ask.

        Raises:
            SettingsError: `settings.invalid`, `llm.settings.no_provider`.
        """
        if self.is_needed and self.llm is None and not self.replay:
            Router.from_env()  # opens nothing

    @asynccontextmanager
    async def open(self, budget_usd: Decimal | None) -> AsyncIterator[Models | None]:
        """The models, with a budget of their own; closed again unless the caller brought them.

        Args:
            budget_usd: What may be spent; None for no limit.
        """
        if not self.is_needed:
            yield None
            return
        if isinstance(self.llm, Router):
            yield self.llm
            return
        options: dict[str, Any] = {"limits": Limits(max_concurrent=self.calls_at_once, deadline_s=CALL_DEADLINE_S)}
        if budget_usd is not None:
            options["budget"] = SpendBudget(max(Decimal(0), budget_usd))
        async with AsyncExitStack() as stack:
            if self.transport is not None:
                options["transport"] = self.transport
            if self.replay and self.cache is not None:
                options["transport"] = CachedTransport(None, self.cache, mode="replay")
            elif self.cache is not None:
                inner = self.transport or await stack.enter_async_context(open_transport())
                options["transport"] = CachedTransport(inner, self.cache)
            make: MakeRouter = self.llm or (_replaying_router if self.replay else Router.from_env)
            yield await stack.enter_async_context(make(**options))


def _replaying_router(**options: Any) -> Router:
    """The environment's router, or one without a key: what was recorded can be replayed by whoever has no provider."""
    settings = load_settings()
    providers = providers_of(settings) or (Provider(name="openrouter", base_url=settings.openrouter_base_url),)
    return Router([Route(model=settings.default_openrouter_model, provider=providers[0])], providers=providers, **options)
