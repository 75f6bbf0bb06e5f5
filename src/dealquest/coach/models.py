"""Which model answers whom: a user's own key first, else the team's, over one router's connections.

Opens sealed keys for the moment of a call and keeps none. Needs `dealquest.llm`, so it is loaded only where a model may be asked.
"""

from typing import Any

import attrs

from dealquest.llm import Done as AnswerDone
from dealquest.llm import Image, Router, Structured, TextDelta, WebSearch, assistant, check_key, own_provider, user
from dealquest.settings import Settings
from dealquest.values import Clock, Secret
from dealquest.vault import Vault
from dealquest.wire import Transport

from .dialogue import Answered, AskModel, KeyChecked, Reported, Source, User
from .effects import Attachment, Caller, OnPartial
from .scoring import ModelScorer, Scorer


@attrs.frozen
class RouterModel:
    """One user's model behind a router.

    Args:
        router: Who asks; its first route is the model.
        language: The language of feedback.
    """

    router: Router
    language: str = ""

    @property
    def scorer(self) -> Scorer:
        """Scores answers with this model."""
        return ModelScorer(self.router, language=self.language)

    async def ask(self, question: AskModel, photo: Attachment | None, on_partial: OnPartial | None) -> Answered:
        """Ask; see `coach.effects.Model`."""
        lines = [(assistant if line.role == "assistant" else user)(line.text) for line in question.lines]
        if photo is not None:
            lines[-1] = user(question.lines[-1].text, Image(data=photo.data, media_type=photo.media_type))
        if question.output is not None:
            found: Structured[Any] = await self.router.structured(
                lines, question.output, system=question.system, max_tokens=question.max_tokens, temperature=question.temperature
            )
            return Answered(value=found.value, model=found.completion.model)
        if on_partial is None:
            completion = await self.router.complete(
                lines, system=question.system, max_tokens=question.max_tokens, temperature=question.temperature
            )
            return Answered(value=completion.text, model=completion.model)
        text = ""
        stream = self.router.stream(lines, system=question.system, max_tokens=question.max_tokens, temperature=question.temperature)
        async with stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    text += event.text
                    await on_partial(text)
                elif isinstance(event, AnswerDone):
                    return Answered(value=event.completion.text, model=event.completion.model)
        raise AssertionError("a stream ends with its completion, or raises")


class RouterModels:
    """Chooses a model for each user.

    Args:
        shared: The team's router; None without a team key.
        vault: Opens and seals users' keys; None when users cannot bring one.
        settings: Addresses of the providers.
        transport: The connections that keys are checked and used over.
        clock: Where time comes from.
    """

    def __init__(self, shared: Router | None, *, vault: Vault | None, settings: Settings, transport: Transport, clock: Clock) -> None:
        self._shared = shared
        self._vault = vault
        self._settings = settings
        self._transport = transport
        self._clock = clock

    def choose(self, caller: Caller, *, shared: bool = False) -> RouterModel | None:
        """The user's own model, else the team's; see `coach.effects.Models`."""
        account = caller.user
        sealed = caller.sealed_keys.get(account.provider)
        if not shared and not account.uses_shared_key:
            if sealed is None or self._vault is None:
                return None  # the user chose to go without the team's model
            key = self._vault.open(sealed, owner=str(account.id), purpose=account.provider, now=self._clock.now())
            own = Router.from_key(account.provider, key, model=account.model or None, settings=self._settings, transport=self._transport)
            return RouterModel(own, account.language)
        return None if self._shared is None else RouterModel(self._shared, account.language)

    async def search(self, prospect: str, question: str) -> Reported:
        """Look a prospect up on the web; see `coach.effects.Models`."""
        if self._shared is None:
            raise AssertionError("asked without a shared router; House.searches says so")
        found = await self._shared.research(prospect, question=question, web=WebSearch())
        sources = tuple(Source(title=citation.title, url=citation.url) for citation in found.citations)
        return Reported(text=found.text, fenced=found.fenced, sources=sources)

    async def check_key(self, account: User, provider: str, key: str) -> KeyChecked:
        """Ask the provider about a key and seal a good one; see `coach.effects.Models`."""
        if self._vault is None:
            raise AssertionError("asked without a vault; House.stores_keys says so")
        secret = Secret(key)
        checked = await check_key(own_provider(provider, secret, self._settings), self._transport, now=self._clock.now())
        if checked.state != "good":
            return KeyChecked(verdict=checked.state)
        return KeyChecked(verdict="good", sealed=self._vault.seal(secret, owner=str(account.id), purpose=provider, now=self._clock.now()))
