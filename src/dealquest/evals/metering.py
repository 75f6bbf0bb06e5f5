"""The way from a subject or a scorer to the models: every call is counted, paced and priced; the router does the rest.

Retries, deadlines and the budget are the router's own. Here stand the run's limits for single models and the record
of each call.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import anyio
import attrs

from dealquest.errors import DealQuestError, InputError
from dealquest.llm import Completion, Prompt, Structured
from dealquest.wire import Timer

from .caching import noting_hits
from .journal_lines import Call

T = TypeVar("T")

_FREE = ("llm.refused.", "llm.input.", "llm.budget.", "evals.")


class Models(Protocol):
    """What is needed of a router; `dealquest.llm.Router` fits."""

    async def complete(self, prompt: Prompt, *, model: str | None = None, system: str = "", max_tokens: int = 4096,
                       temperature: float | None = None) -> Completion: ...  # fmt: skip

    async def structured(self, prompt: Prompt, output: type[T], *, model: str | None = None, system: str = "",
                         temperature: float | None = None) -> Structured[T]: ...  # fmt: skip


@attrs.frozen(kw_only=True)
class ModelLimit:
    """What one model may be asked.

    Attributes:
        concurrent: Calls under way at one time; None leaves it to the run's own limit.
        per_minute: Calls begun within a minute, evenly spread; None for no limit.
    """

    concurrent: int | None = None
    per_minute: float | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse limits that let nothing through."""
        if (self.concurrent is not None and self.concurrent < 1) or (self.per_minute is not None and self.per_minute <= 0):
            raise InputError("a model's limit must let at least one call through", code="evals.input.limit")


class Gates:
    """The limits of a run's models, shared by all its lanes.

    Args:
        limits: Model → what it may be asked.
        timer: Where time comes from.
    """

    def __init__(self, limits: Mapping[str, ModelLimit], timer: Timer) -> None:
        self.timer = timer
        self._limits = limits
        self._slots = {
            model: anyio.Semaphore(limit.concurrent, fast_acquire=True) for model, limit in limits.items() if limit.concurrent is not None
        }
        self._next_at: dict[str, float] = {}

    @asynccontextmanager
    async def passing(self, model: str) -> AsyncIterator[None]:
        """Wait for the model's turn, and hold its slot for the length of the block."""
        limit = self._limits[model]
        slots = self._slots.get(model)
        if slots is not None:
            await slots.acquire()
        try:
            if limit.per_minute is not None:
                now = self.timer.monotonic()
                at = max(now, self._next_at.get(model, now))
                self._next_at[model] = at + 60 / limit.per_minute
                await self.timer.sleep(at - now)
            yield
        finally:
            if slots is not None:
                slots.release()

    def guards(self, model: str) -> bool:
        """Whether a model has a limit."""
        return model in self._limits


class Meter:
    """One sample's way to the models; what passes is kept in `calls`.

    Args:
        models: Who is asked; None in a run that asks nobody.
        gates: The run's limits.
    """

    def __init__(self, models: Models | None, gates: Gates) -> None:
        self._models = models
        self._gates = gates
        self.calls: list[Call] = []

    async def ask(
        self, prompt: Prompt, *, model: str | None = None, system: str = "", max_tokens: int = 4096, temperature: float | None = None
    ) -> Completion:
        """A whole answer; see `Router.complete`.

        Raises:
            InputError: `evals.input.no_models` when the run has nobody to ask.
        """
        models = self._router()
        completion: Completion = await self._pass(
            model, lambda: models.complete(prompt, model=model, system=system, max_tokens=max_tokens, temperature=temperature)
        )
        return completion

    async def complete(
        self,
        prompt: Sequence[Mapping[str, str]],
        *,
        output: type[T],
        model: str | None = None,
        system: str = "",
        temperature: float | None = None,
    ) -> T:
        """An object of a class, as `dealquest.coach.ModelScorer` asks for it."""
        models = self._router()
        made: Structured[T] = await self._pass(
            model, lambda: models.structured(prompt, output, model=model, system=system, temperature=temperature)
        )
        return made.value

    def _router(self) -> Models:
        if self._models is None:
            raise InputError("this run has no model to ask: give it llm=Router.from_env()", code="evals.input.no_models")
        return self._models

    async def _pass(self, model: str | None, send: Any) -> Any:
        name = model or ""
        if not self._gates.guards(name):
            return await self._send(name, send, 0.0)
        since = self._gates.timer.monotonic()
        async with self._gates.passing(name):
            return await self._send(name, send, self._gates.timer.monotonic() - since)

    async def _send(self, model: str, send: Any, wait_s: float) -> Any:
        began = self._gates.timer.monotonic()
        try:
            with noting_hits() as hits:
                answer = await send()
        except DealQuestError as exc:
            elapsed_s = self._gates.timer.monotonic() - began
            # A refused request costs nothing; of any other that failed nobody knows.
            cost = Decimal(0) if exc.code.startswith(_FREE) else None
            self.calls.append(Call(model=model, cost_usd=cost, wait_s=round(wait_s, 4), elapsed_s=round(elapsed_s, 4), error=exc.code))
            raise
        elapsed_s = self._gates.timer.monotonic() - began
        completion: Completion = answer.completion if isinstance(answer, Structured) else answer
        usage = completion.usage
        self.calls.append(
            Call(
                model=model,
                served=completion.model,
                provider=completion.provider,
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cost_usd=Decimal(0) if hits else completion.cost_usd,
                cost_source="cache" if hits else completion.cost_source,
                wait_s=round(wait_s, 4),
                elapsed_s=round(elapsed_s, 4),
                attempts=max(1, len(completion.attempts)),
            )
        )
        return answer
