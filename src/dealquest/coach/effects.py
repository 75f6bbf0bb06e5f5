"""Performs what flows ask for: models, ears, the web, keys and stored rows, each with the rights of the one user whose turn it is.

Decides nothing and keeps nothing; `coach.turns` stores what was paid for. A part that is missing is a `Failed`, not an error.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

import attrs
import msgspec

from dealquest.errors import DealQuestError, InputError
from dealquest.tracing import span

from .dialogue import (
    Answered,
    AskModel,
    CheckKey,
    Consult,
    Consulted,
    Effect,
    EffectResult,
    Failed,
    Found,
    Hear,
    Heard,
    House,
    KeyChecked,
    Look,
    Reported,
    ScoreAnswer,
    SearchWeb,
    User,
)
from .library import Library
from .pack import Pack
from .scoring import Scorer, SignalScorer

MAX_PHOTO_BYTES = 8_000_000

OnPartial = Callable[[str], Awaitable[None]]
"""Is shown the text so far of an answer that is still being written."""


@attrs.frozen(kw_only=True)
class Caller:
    """For whom an effect is performed.

    Attributes:
        user: The claimed user.
        sealed_keys: Their own keys by provider, sealed.
        on_partial: Shows an answer while it is written, where the channel can.
    """

    user: User
    sealed_keys: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    on_partial: OnPartial | None = None


@attrs.frozen(kw_only=True)
class Attachment:
    """What a media reference stands for."""

    data: bytes = attrs.field(repr=False)
    media_type: str


class Media(Protocol):
    """A channel's files: what a reference in `Event.media` stands for."""

    async def fetch(self, media: Mapping[str, Any], *, max_bytes: int) -> Attachment:
        """The file's bytes.

        Raises:
            NotFoundError: The channel has it no more.
            LimitError: It is larger than `max_bytes`.
            PeerError: The channel cannot be reached.
        """
        ...

    def stream(self, media: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """The same in chunks, for sound."""
        ...


class Model(Protocol):
    """One user's way to a model; `coach.models.RouterModel` is one."""

    @property
    def scorer(self) -> Scorer:
        """Scores answers with this model."""
        ...

    async def ask(self, question: AskModel, photo: Attachment | None, on_partial: OnPartial | None) -> Answered:
        """Ask it.

        Raises:
            DealQuestError: It cannot be asked, or its answer does not hold.
        """
        ...


class Models(Protocol):
    """Which model answers whom."""

    def choose(self, caller: Caller, *, shared: bool = False) -> Model | None:
        """The user's own, else the team's; None when there is neither.

        Raises:
            DeniedError: The user's key cannot be opened any more.
        """
        ...

    async def search(self, prospect: str, question: str) -> Reported:
        """Look a prospect up on the web, at the team's cost."""
        ...

    async def check_key(self, user: User, provider: str, key: str) -> KeyChecked:
        """Ask a provider about a key, and seal a good one for its user."""
        ...


class Ears(Protocol):
    """Speech to text."""

    async def hear(self, chunks: Callable[[], AsyncIterator[bytes]], *, language: str, duration_s: float | None) -> Heard:
        """What was said."""
        ...


class Knowledge(Protocol):
    """The team's notes; `coach.knowledge.NotesFolder` is one."""

    async def consult(self, query: str) -> Consulted:
        """What they say on something.

        Raises:
            InputError: The notes cannot be read.
        """
        ...


class Looks(Protocol):
    """Read-only functions of storage."""

    def rpc(self, name: str, /, **arguments: Any) -> Awaitable[Any]:
        """Call one."""
        ...


class Effects:
    """Performs effects.

    Args:
        packs: The scenario pack for a language tag, before what a model wrote.
        looks: Storage with the rights of the service role.
        house: What the operator's settings offer.
        models: Which model answers whom; none at all when left out.
        ears: Speech to text; none when left out.
        media: The channel's files; none when left out.
        knowledge: The team's notes; none when left out.
        offline_scorer: Scores without a model.
    """

    def __init__(
        self,
        *,
        packs: Callable[[str], Pack],
        looks: Looks | None = None,
        house: House | None = None,
        models: Models | None = None,
        ears: Ears | None = None,
        media: Media | None = None,
        knowledge: Knowledge | None = None,
        offline_scorer: Scorer | None = None,
    ) -> None:
        self.house = house or House()
        self._library = Library(packs, looks)
        self._looks = looks
        self._models = models
        self._ears = ears
        self._media = media
        self._knowledge = knowledge
        self._offline_scorer = offline_scorer or SignalScorer()

    async def pack(self, language: str, *, named: Iterable[str] = ()) -> Pack:
        """The scenarios in a language, those that a model wrote among them; `named` are texts that may name one of these."""
        return await self._library.pack(language, named=named)

    def has_model(self, caller: Caller) -> bool:
        """Whether a model answers this user; a key that cannot be opened counts, so that its owner is told."""
        user = caller.user
        has_own = not user.uses_shared_key and user.provider in caller.sealed_keys
        return self._models is not None and (has_own or self._models.choose(caller) is not None)

    async def perform(self, effect: Effect, caller: Caller) -> EffectResult:
        """Perform one effect.

        Returns:
            What the effect's docstring names, or `Failed` when a peer, a limit or the input stood in the way.
        """
        try:
            return await self._perform(effect, caller)
        except DealQuestError as exc:
            return Failed(reason=exc.message, code=exc.code, retryable=exc.retryable)

    async def _perform(self, effect: Effect, caller: Caller) -> EffectResult:
        match effect:
            case ScoreAnswer():
                return await self._score(effect, caller)
            case Look():
                if self._looks is None:
                    raise _missing("There is no storage to look into.")
                return Found(await self._looks.rpc(effect.function, **{**effect.arguments, "of_user": caller.user.id}))
            case AskModel():
                return await self._ask(effect, caller)
            case Hear():
                return await self._hear(effect, caller)
            case SearchWeb():
                if self._models is None:
                    raise _missing("No model is set up that searches the web.")
                async with span("research"):
                    return await self._models.search(effect.prospect, effect.question)
            case Consult():
                return Consulted() if self._knowledge is None else await self._knowledge.consult(effect.query)
            case CheckKey():
                if self._models is None:
                    raise _missing("Keys cannot be stored here.")
                return await self._models.check_key(caller.user, effect.provider, effect.key)

    async def _score(self, effect: ScoreAnswer, caller: Caller) -> EffectResult:
        model = None if effect.offline or self._models is None else self._models.choose(caller)
        scorer = self._offline_scorer if model is None else model.scorer
        async with span("score", scenario=effect.scenario_id) as scoring:
            pack = await self.pack(caller.user.language, named=[effect.scenario_id])
            scenario = pack.scenario(effect.scenario_id)
            card = await scorer.score(scenario if effect.turns == 1 else scenario.for_turns(effect.turns), effect.answer)
            scoring.set("score", card.total)
            scoring.set("scorer", card.scorer)
            return card

    async def _ask(self, effect: AskModel, caller: Caller) -> EffectResult:
        model = None if self._models is None else self._models.choose(caller, shared=effect.shared)
        if model is None:
            raise _missing("No model is set up.")
        photo = None
        if effect.photo is not None:
            if self._media is None:
                raise _missing("Photos cannot be fetched on this channel.")
            photo = await self._media.fetch(effect.photo, max_bytes=MAX_PHOTO_BYTES)
        async with span(effect.purpose):
            return await model.ask(effect, photo, caller.on_partial)

    async def _hear(self, effect: Hear, caller: Caller) -> EffectResult:
        ears, media = self._ears, self._media
        if ears is None or media is None:
            raise _missing("Voice messages are off: the operator has set no speech service.")
        seconds = effect.media.get("duration_s")
        async with span("hear"):
            return await ears.hear(
                lambda: media.stream(effect.media),
                language=caller.user.language,
                duration_s=float(seconds) if isinstance(seconds, int | float) else None,
            )


def restore(effect: Effect, stored: Any) -> EffectResult:
    """The result of a paid effect, as it was stored."""
    result: EffectResult = msgspec.convert(stored, type(effect).result)
    if isinstance(effect, AskModel) and effect.output is not None:
        assert isinstance(result, Answered)
        return attrs.evolve(result, value=msgspec.convert(result.value, effect.output))
    return result


def _missing(message: str) -> InputError:
    return InputError(message, code="coach.part_missing")
