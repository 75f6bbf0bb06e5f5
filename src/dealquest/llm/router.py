"""Ask a model and never be fooled: one deadline, routes in order, whole answers or a typed error.

The knowledge stands elsewhere (journey, health, failures, the two dialects); here it meets the clock
and the wire. No retry happens below this file.
"""

import logging
import random
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

import attrs

from dealquest.errors import InputError, PeerGarbledError, SettingsError
from dealquest.values import Secret
from dealquest.wire import RetryPolicy, SystemTimer, Timer, Transport, TransportSource

from .answer_stream import AnswerStream
from .billing import add_up, check_whole
from .calls import Calls
from .health import Health, RouteState
from .messages import Ask, Completion, Effort, Message, Prompt, Tool, WebSearch, assistant, read_prompt, user
from .models import FACTS, RESEARCH_MODEL, resolve_model
from .observing import Observer, SpanObserver
from .routes import Provider, Route, explain_no_provider, own_provider, providers_of, routes_named
from .sending import Limits, Sender
from .spend import SpendBudget, SpendState
from .structured import read_object, repair_request, schema_of

if TYPE_CHECKING:
    from dealquest.settings import Settings

    from .embeddings import Embeddings, ListedModel
    from .keys import KeyCheck, ModelCheck
    from .research import Research

T = TypeVar("T")

_log = logging.getLogger("dealquest.llm")


@attrs.frozen(kw_only=True)
class Structured(Generic[T]):
    """A validated object and the call that brought it; a repair round is counted in."""

    value: T
    completion: Completion


@attrs.frozen(kw_only=True)
class RouterState:
    """A look inside: what the router knows and what is under way."""

    routes: tuple[RouteState, ...]
    free_slots: int
    spend: SpendState | None


class Router:
    """Asks models.

    Args:
        routes: Where to ask when the caller names no model, the preferred one first.
        providers: Servers for models that the caller names; those of the routes when left out.
        transport: How to get there; the fastest one that works here when left out, closed with the router.
        timer: Where time comes from.
        rng: Where jitter comes from.
        limits: How long and how much.
        policy: How often to try again.
        budget: What may be spent.
        observer: Is told about every call; a span per call, where a tracer is installed, when left out.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        providers: Sequence[Provider] = (),
        transport: Transport | None = None,
        timer: Timer | None = None,
        rng: random.Random | None = None,
        limits: Limits | None = None,
        policy: RetryPolicy | None = None,
        budget: SpendBudget | None = None,
        observer: Observer | None = None,
    ) -> None:
        if not routes:
            raise InputError("A router needs at least one route.", code="llm.input.routes")
        self.routes = tuple(routes)
        self.providers = tuple(providers) or tuple(dict.fromkeys(route.provider for route in routes))
        self._wire = TransportSource(transport)
        self._timer = timer or SystemTimer()
        self._rng = rng or random.Random()  # noqa: S311  # jitter, no secret
        self._limits = limits or Limits()
        self._policy = policy or RetryPolicy()
        self._budget = budget
        self._observer = observer or SpanObserver()
        self._health = Health(self._rng)
        self._calls: Calls | None = None
        self._warned: set[str] = set()

    @classmethod
    def from_settings(cls, settings: "Settings", **options: Any) -> Self:
        """A router for the operator's settings: one route per configured provider.

        Args:
            settings: What the operator decided.
            **options: As the constructor takes them, without `routes` and `providers`.

        Raises:
            SettingsError: `llm.settings.no_provider` when no provider is configured.
        """
        providers = providers_of(settings)
        if not providers:
            raise SettingsError(explain_no_provider(settings), code="llm.settings.no_provider")
        routes = [Route(model=provider.kind.model or settings.default_openrouter_model, provider=provider) for provider in providers]
        return cls(routes, providers=providers, **options)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **options: Any) -> Self:
        """A router for the environment.

        Raises:
            SettingsError: `settings.invalid`, or `llm.settings.no_provider` when no provider is configured.
        """
        from dealquest.settings import load_settings  # noqa: PLC0415  # whoever builds routes reads no environment

        return cls.from_settings(load_settings(environ), **options)

    @classmethod
    def from_key(cls, provider: str, key: Secret, *, model: str | None = None, settings: "Settings | None" = None, **options: Any) -> Self:
        """A router for a user's own key alone.

        Args:
            provider: `openrouter` or `anthropic`.
            key: The user's key.
            model: What to ask when the caller names no model.
            settings: Where the addresses come from.
            **options: As the constructor takes them.
        """
        own = own_provider(provider, key, settings)
        return cls([Route(model=model or own.default_model, provider=own)], **options)

    def with_key(self, provider: str, key: Secret, *, model: str | None = None, settings: "Settings | None" = None,
                 use_shared_after: bool = False) -> "Router":  # fmt: skip
        """This router for a user's own key, over the same connections, slots and limits.

        Args:
            provider: `openrouter` or `anthropic`.
            key: The user's key.
            model: What to ask when the caller names no model.
            settings: Where the addresses come from.
            use_shared_after: Whether the shared routes may answer, at the operator's cost, when the user's key cannot.
        """
        own = own_provider(provider, key, settings)
        routes = (Route(model=model or own.default_model, provider=own), *(self.routes if use_shared_after else ()))
        providers = (own, *(self.providers if use_shared_after else ()))
        twin = Router(routes, providers=providers, transport=self._wire.get(), timer=self._timer, rng=self._rng, limits=self._limits,
                      policy=self._policy, budget=self._budget if use_shared_after else None, observer=self._observer)  # fmt: skip
        twin._health, twin._warned = self._health, self._warned  # the same class
        twin._calls = attrs.evolve(self._calling(), budget=twin._budget)  # as above
        return twin

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections, where the router opened them."""
        if self._wire.has_own:
            self._calls = None
        await self._wire.aclose()

    @property
    def state(self) -> RouterState:
        """What the router knows now."""
        return RouterState(
            routes=self._health.states(self._timer.monotonic()),
            # Looking must not open a transport: the right one is known only where the event loop runs.
            free_slots=self._calls.sender.free_slots if self._calls else self._limits.max_concurrent,
            spend=self._budget.state if self._budget else None,
        )

    @overload
    async def complete(self, prompt: Prompt, *, output: None = None, model: str | None = None, system: str = "",
                       max_tokens: int = 4096, temperature: float | None = None, top_p: float | None = None, tools: Sequence[Tool] = (),
                       reasoning: Effort | None = None, web: WebSearch | None = None, stop: Sequence[str] = (),
                       fallback: Sequence[str] = (), deadline_s: float | None = None,
                       allow_truncated: bool = False) -> Completion: ...  # fmt: skip

    @overload
    async def complete(self, prompt: Prompt, *, output: type[T], model: str | None = None, system: str = "",
                       max_tokens: int = 4096, temperature: float | None = None, top_p: float | None = None, tools: Sequence[Tool] = (),
                       reasoning: Effort | None = None, web: WebSearch | None = None, stop: Sequence[str] = (),
                       fallback: Sequence[str] = (), deadline_s: float | None = None,
                       allow_truncated: bool = False) -> T: ...  # fmt: skip

    async def complete(self, prompt: Prompt, *, output: type[T] | None = None, model: str | None = None, system: str = "",
                       max_tokens: int = 4096, temperature: float | None = None, top_p: float | None = None, tools: Sequence[Tool] = (),
                       reasoning: Effort | None = None, web: WebSearch | None = None, stop: Sequence[str] = (),
                       fallback: Sequence[str] = (), deadline_s: float | None = None,
                       allow_truncated: bool = False) -> Completion | T:  # fmt: skip
        """Ask, and wait for the whole answer.

        Args:
            prompt: A text, messages, or plain role and content mappings.
            output: An attrs class; then the validated object comes back instead of the completion.
            model: Whom to ask; the configured routes when left out.
            system: Standing orders.
            max_tokens: Most tokens of the answer.
            temperature: 0 to 2; dropped where the model refuses it.
            top_p: 0 to 1; dropped where the model refuses it, and at Anthropic beside a temperature.
            tools: What the model may call.
            reasoning: How hard to think.
            web: Search the web first (OpenRouter).
            stop: Texts that end the answer.
            fallback: Models to ask when `model` cannot answer, in order.
            deadline_s: Seconds for everything; `Limits.deadline_s` when left out.
            allow_truncated: Take an answer that `max_tokens` cut off, with `finish == "length"`.

        Raises:
            InputError: `llm.input.*`, before anything is sent.
            LimitError: `llm.deadline`, `llm.timeout`, `llm.busy`, `llm.budget.exceeded`.
            PeerRefusedError: `llm.refused.*`, `llm.answer.refused`.
            PeerUnavailableError: `llm.unavailable.*`, `wire.*`.
            PeerGarbledError: `llm.answer.*`, `llm.output.invalid`, `llm.tool.*`; `received` keeps the text.
            RoutesExhaustedError: `llm.routes.exhausted` when several routes failed.
        """
        ask = Ask(messages=read_prompt(prompt, orders=system), max_tokens=max_tokens, temperature=temperature, top_p=top_p,
                  tools=tuple(tools), reasoning=reasoning, web=web, stop=tuple(stop),
                  schema=schema_of(output) if output else None)  # fmt: skip
        routes = self._routes_for(model, fallback)
        deadline_at = self._deadline(deadline_s)
        if output is not None:
            return (await self._complete_object(ask, routes, deadline_at, output)).value
        return check_whole(await self._calling().complete(ask, routes, deadline_at), allow_truncated=allow_truncated)

    async def structured(self, prompt: Prompt, output: type[T], *, model: str | None = None, system: str = "", max_tokens: int = 4096,
                         temperature: float | None = None, reasoning: Effort | None = None, fallback: Sequence[str] = (),
                         deadline_s: float | None = None) -> Structured[T]:  # fmt: skip
        """Like `complete(output=...)`, and keeps the call: usage, cost, who answered."""
        ask = Ask(messages=read_prompt(prompt, orders=system), max_tokens=max_tokens, temperature=temperature, reasoning=reasoning,
                  schema=schema_of(output))  # fmt: skip
        return await self._complete_object(ask, self._routes_for(model, fallback), self._deadline(deadline_s), output)

    def stream(self, prompt: Prompt, *, model: str | None = None, system: str = "", max_tokens: int = 4096,
               temperature: float | None = None, top_p: float | None = None,
               tools: Sequence[Tool] = (), reasoning: Effort | None = None, web: WebSearch | None = None,
               stop: Sequence[str] = (), fallback: Sequence[str] = (), deadline_s: float | None = None) -> AnswerStream:  # fmt: skip
        """Ask, and read the answer as it is written; arguments as for `complete`.

        Raises:
            InputError: `llm.input.*`, at once.
        """
        ask = Ask(messages=read_prompt(prompt, orders=system), max_tokens=max_tokens, temperature=temperature, top_p=top_p,
                  tools=tuple(tools), reasoning=reasoning, web=web, stop=tuple(stop))  # fmt: skip
        routes = self._routes_for(model, fallback)
        return self._calling().stream(ask, routes, self._deadline(deadline_s))

    async def research(self, prospect: str, *, question: str = "", model: str = RESEARCH_MODEL, max_tokens: int = 2048,
                       web: WebSearch | None = None, deadline_s: float | None = None) -> "Research":  # fmt: skip
        """Search the web for a prospect.

        Args:
            prospect: Name and company, in the seller's words.
            question: What to find out; a general picture when left out.
            model: A model at OpenRouter.
            max_tokens: Most tokens of the report.
            web: How to search.
            deadline_s: `Limits.research_deadline_s` when left out.

        Returns:
            The report and its sources; both are untrusted, use `fenced` in prompts.
        """
        from .research import read_research, research_prompt  # noqa: PLC0415  # few ask; the others start faster

        orders, asked = research_prompt(prospect, question)
        completion = await self.complete(
            asked,
            system=orders,
            model=model,
            max_tokens=max_tokens,
            web=web or WebSearch(),
            deadline_s=deadline_s or self._limits.research_deadline_s,
            allow_truncated=True,
        )
        return read_research(completion)

    async def embed(self, texts: Sequence[str], *, model: str, dimensions: int | None = None) -> "Embeddings":
        """Turn texts into vectors; one request to one server, which nothing repeats.

        Args:
            texts: What to embed, none of them empty.
            model: Whose vectors.
            dimensions: Their length, where the model lets one choose.

        Raises:
            InputError: `llm.input.*`.
            PeerError: `llm.refused.*`, `llm.unavailable.*`, `llm.answer.garbled`, `wire.*`.
        """
        from .embeddings import embed  # noqa: PLC0415  # few ask; the others start faster

        route = self._routes_for(model, ())[0]
        return await embed(texts, route, self._wire.get(), dimensions=dimensions, now=self._timer.now())

    async def list_models(self) -> "tuple[ListedModel, ...]":
        """What the providers serve, in their order; spends no token.

        Raises:
            PeerError: As `embed`.
        """
        from .embeddings import list_models  # noqa: PLC0415  # see above

        lists = [await list_models(provider, self._wire.get(), now=self._timer.now()) for provider in self.providers]
        return tuple(model for listed in lists for model in listed)

    async def settle_estimates(self) -> int:
        """Ask the providers what broken-off answers really cost, and correct the budget; returns how many were corrected.

        A stream that was left or broke counts at its worst case until then. Call it now and then, seconds after such a break.
        """
        if self._budget is None:
            return 0
        from .keys import find_cost  # noqa: PLC0415  # few ask; the others start faster

        corrected = 0
        for estimate in self._budget.estimates:
            cost = await find_cost(estimate.provider, self._wire.get(), estimate.generation)
            if cost is not None:
                self._budget.correct(estimate, cost)
                corrected += 1
        return corrected

    async def check_keys(self) -> "tuple[KeyCheck, ...]":
        """Ask every provider whether its key is good; spends no token."""
        from .keys import check_key  # noqa: PLC0415  # few ask; the others start faster

        return tuple([await check_key(provider, self._wire.get(), now=self._timer.now()) for provider in self.providers])

    async def check_models(self, models: Sequence[str] = ()) -> "tuple[ModelCheck, ...]":
        """Ask which models are served: those of the routes, and others by name; spends no token."""
        from .keys import check_models  # noqa: PLC0415  # see above

        routes = [*self.routes, *(route for name in models for route in self._routes_named(name))]
        pairs = list(dict.fromkeys((route.provider, route.model) for route in routes))
        return await check_models(pairs, self._wire.get(), now=self._timer.now())

    def _calling(self) -> Calls:
        if self._calls is None:
            sender = Sender(self._wire.get(), self._timer, self._limits)
            self._calls = Calls(sender=sender, health=self._health, timer=self._timer, policy=self._policy, rng=self._rng,
                                limits=self._limits, observer=self._observer, budget=self._budget, warn=self._warn)  # fmt: skip
        return self._calls

    def _deadline(self, deadline_s: float | None) -> float:
        seconds = self._limits.deadline_s if deadline_s is None else deadline_s
        if not 0 < seconds <= 86_400:
            raise InputError("deadline_s must lie above zero and within a day.", code="llm.input.deadline")
        return self._timer.monotonic() + seconds

    def _routes_for(self, model: str | None, fallback: Sequence[str]) -> tuple[Route, ...]:
        named = [route for name in fallback for route in self._routes_named(name)]
        first = self.routes if model is None else self._routes_named(model)
        return tuple(dict.fromkeys(self._resolve(route) for route in (*first, *named)))

    def _routes_named(self, model: str) -> tuple[Route, ...]:
        return routes_named(model, self.routes, self.providers, today=self._timer.now().date())

    def _resolve(self, route: Route) -> Route:
        if not route.provider.kind.has_prices:
            return route  # what runs at home keeps the name it has there
        served = resolve_model(route.model, today=self._timer.now().date())
        if served == route.model:
            return route
        self._warn(route.model, served, FACTS[route.model].note)
        return attrs.evolve(route, model=served)

    def _warn(self, model: str, served: str, why: str) -> None:
        if model not in self._warned:
            self._warned.add(model)
            _log.warning("The model %s is asked for as %s: %s.", model, served, why)

    async def _complete_object(self, ask: Ask, routes: Sequence[Route], deadline_at: float, output: type[T]) -> Structured[T]:
        first = check_whole(await self._calling().complete(ask, routes, deadline_at))
        found = read_object(first.text, output)
        if not isinstance(found, str):
            return Structured(value=found, completion=first)
        turns: tuple[Message, ...] = (*ask.messages, assistant(first.text), user(repair_request(first.text, found)))
        second = check_whole(await self._calling().complete(attrs.evolve(ask, messages=turns), routes, deadline_at))
        both = add_up(first, second)
        repaired = read_object(second.text, output)
        if isinstance(repaired, str):
            raise PeerGarbledError(
                f"The model did not give a valid {output.__name__}, also after one repair.", code="llm.output.invalid", received=second.text
            )
        return Structured(value=repaired, completion=both)
