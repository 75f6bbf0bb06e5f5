"""The coach's peers as doubles, and a person who chats with the durable conversation, for tests of flows.

The conversation, the engine and the database behind it are the real ones.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import anyio
import attrs

from dealquest.coach import Attachment, Caller, Delivery, OnPartial, Scenario, ScoreCard, Scorer, Turns, score_by_signals
from dealquest.coach.dialogue import Answered, AskModel, Button, Event, EventKind, Heard, KeyChecked, Person, Reported, User
from dealquest.errors import NotFoundError


class ScriptedModels:
    """One model for everybody, which answers each question with the next prepared answer.

    Args:
        answers: Objects or texts, exceptions to raise, or functions of the question that return one.
        delay_s: How long it thinks before each answer or score.
        scorer: Scores answers; by signals, said to be a model's, when left out.
        research: What the web says.
        keys: What a provider says of a key, by the key; others are wrong.
    """

    def __init__(
        self,
        *answers: object,
        delay_s: float = 0.0,
        scorer: Scorer | None = None,
        research: Reported | None = None,
        keys: Mapping[str, KeyChecked] | None = None,
    ) -> None:
        self.answers = list(answers)
        self.questions: list[AskModel] = []
        self.photos: list[bytes] = []
        self.callers: list[Caller] = []
        self.scores = 0
        self._delay_s = delay_s
        self._scorer = scorer
        self._research = research
        self._keys = dict(keys or {})

    def choose(self, caller: Caller, *, shared: bool = False) -> "ScriptedModels":  # noqa: ARG002  # part of the face
        """This model, for everybody."""
        self.callers.append(caller)
        return self

    @property
    def scorer(self) -> Scorer:
        """Itself, or the one that was handed in."""
        return self._scorer or self

    async def score(self, scenario: Scenario, answer: str) -> ScoreCard:
        """By signals, with a model's name."""
        self.scores += 1
        await anyio.sleep(self._delay_s)
        return attrs.evolve(score_by_signals(scenario, answer), scorer="model", model="scripted")

    async def ask(self, question: AskModel, photo: Attachment | None, on_partial: OnPartial | None) -> Answered:
        """The next prepared answer."""
        self.questions.append(question)
        if photo is not None:
            self.photos.append(photo.data)
        await anyio.sleep(self._delay_s)
        assert self.answers, f"no answer is prepared for {question.purpose}"
        prepared = self.answers.pop(0)
        answer: object = prepared(question) if callable(prepared) else prepared
        if isinstance(answer, BaseException):
            raise answer
        wanted = question.output or str
        assert isinstance(answer, wanted), f"the script holds {type(answer).__name__}, {wanted.__name__} was asked for"
        if on_partial is not None and isinstance(answer, str):
            await on_partial(answer[: len(answer) // 2])
        return Answered(value=answer, model="scripted")

    async def search(self, prospect: str, question: str) -> Reported:  # noqa: ARG002  # part of the face
        """The prepared report."""
        assert self._research is not None, "no research is prepared"
        return self._research

    async def check_key(self, user: User, provider: str, key: str) -> KeyChecked:  # noqa: ARG002  # part of the face
        """The prepared verdict."""
        return self._keys.get(key, KeyChecked(verdict="wrong"))


class ScriptedEars:
    """Hears the next prepared text, whatever the sound."""

    def __init__(self, *texts: str) -> None:
        self._texts = list(texts)

    async def hear(self, chunks: Callable[[], AsyncIterator[bytes]], *, language: str, duration_s: float | None) -> Heard:  # noqa: ARG002  # part of the face
        """Read the sound to its end, then answer."""
        async for _ in chunks():
            pass
        return Heard(text=self._texts.pop(0), language=language)


class HeldMedia:
    """Files that a test holds in memory, by `file_id`."""

    def __init__(self, files: Mapping[str, bytes], *, media_type: str = "image/jpeg") -> None:
        self._files = dict(files)
        self._media_type = media_type

    async def fetch(self, media: Mapping[str, Any], *, max_bytes: int) -> Attachment:  # noqa: ARG002  # part of the face
        """The bytes of a file."""
        if media.get("file_id") not in self._files:
            raise NotFoundError("The channel has this file no more.", code="testing.no_file")
        return Attachment(data=self._files[media["file_id"]], media_type=self._media_type)

    async def stream(self, media: Mapping[str, Any]) -> AsyncIterator[bytes]:
        """The same as one chunk."""
        yield (await self.fetch(media, max_bytes=0)).data


class Chatter:
    """One person who chats: sends an event, sees its turn finished, reads the replies and presses their buttons.

    Args:
        turns: The durable conversation.
        name: Who chats.
        source: The channel.
        first_update: Number of the first event.
    """

    def __init__(self, turns: Turns, *, name: str = "ann", source: str = "test", first_update: int = 1) -> None:
        self.turns = turns
        self.person = Person(local_name=name, first_name=name.title())
        self.source = source
        self.replies: list[Delivery] = []
        self._next = first_update

    async def says(self, text: str, kind: EventKind = "text", media: Mapping[str, Any] | None = None) -> str:
        """Send one event and finish its turn; the replies' texts."""
        name = self.person.local_name or ""
        event = Event(
            source=self.source, chat=name, update_id=self._next, user=self.person, kind=kind, text=text, media=media, message_id=self._next
        )
        self._next += 1
        await self.turns.receive([event])
        assert await self.turns.work(self.source, chat=name, update_id=event.update_id) is not None
        return await self.reads()

    async def presses(self, wanted: str) -> str:
        """Press the button with this label or data; a `data:` prefix sends data that no button has."""
        if wanted.startswith("data:"):
            return await self.says(wanted.removeprefix("data:"), "button")
        found = [button for button in self.buttons if wanted in {button.label, button.data}]
        assert found, f"no button {wanted!r} among {[(button.label, button.data) for button in self.buttons]}"
        return await self.says(found[0].data, "button")

    async def works_off_jobs(self) -> str:
        """Do everything that earlier turns left to be done later and that is due; the replies' texts."""
        while await self.turns.work(self.source, only_jobs=True) is not None:
            pass
        return await self.reads()

    async def reads(self) -> str:
        """Take every reply that waits."""
        self.replies = await self.turns.deliveries(self.source, chat=self.person.local_name)
        for delivery in self.replies:
            await self.turns.mark_sent(delivery)
        return "\n".join(delivery.reply.text.plain for delivery in self.replies)

    @property
    def buttons(self) -> Sequence[Button]:
        """The buttons of the newest replies."""
        return [button for delivery in self.replies for row in delivery.reply.buttons for button in row]
