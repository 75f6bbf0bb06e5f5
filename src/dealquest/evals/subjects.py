"""What is under test: a model with a prompt, recorded answers, or any async function.

A subject is whatever has a name, a declaration and an `answer`. Role-play is `role_plays`, the whole coach `coaching`.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

import attrs

from dealquest.errors import InputError, NotFoundError
from dealquest.values import JsonObject

from .cases import Case, digest
from .metering import Meter

SELLER_PROMPT = """\
You are a salesperson. Below is a situation with a buyer. Write what you would say or write to the buyer now, and nothing else:
no heading, no explanation, no alternatives. Keep to the channel and the number of words. Ask rather than guess, promise nothing
that is not stated, and answer in the language of the situation."""


@attrs.frozen(kw_only=True)
class Answer:
    """What a subject answered.

    Attributes:
        text: The answer; of a conversation, what is to be scored.
        turns: A conversation's turns as (who, text).
        data: Anything else a scorer may want; JSON.
        cost_usd: What it cost, where the subject did not ask through the run's own models.
    """

    text: str
    turns: tuple[tuple[str, str], ...] = ()
    data: Any = None
    cost_usd: Decimal | None = None


class Subject(Protocol):
    """The thing under test."""

    @property
    def name(self) -> str:
        """What tables call it; unique in a run."""
        ...

    @property
    def declaration(self) -> JsonObject:
        """What it is, for the manifest; a changed declaration is another subject."""
        ...

    @property
    def models(self) -> tuple[str, ...]:
        """One model for each call it makes for a case, as far as that is known; for the plan."""
        ...

    async def answer(self, case: Case, meter: Meter) -> Answer:
        """Answer a case; ask models through `meter`, so that cost and limits are kept."""
        ...


AsyncAnswer: TypeAlias = Callable[..., Awaitable[Any]]
"""An async function of a case, or of a case and a `Meter`; it returns a text, an `Answer`, or JSON."""


@attrs.frozen(kw_only=True)
class ModelSubject:
    """A model with standing orders.

    Attributes:
        model: Whom to ask.
        prompt: The standing orders.
        prompt_name: What to call them; part of the name when it is not empty.
        max_tokens: Most tokens of the answer.
        temperature: 0 to 2; the model's own when left out.
    """

    model: str
    prompt: str = attrs.field(default=SELLER_PROMPT, repr=False)
    prompt_name: str = ""
    max_tokens: int = 1024
    temperature: float | None = None

    @property
    def name(self) -> str:
        """The model, and the prompt where there are several."""
        return f"{self.model} · {self.prompt_name}" if self.prompt_name else self.model

    @property
    def models(self) -> tuple[str, ...]:
        """One call."""
        return (self.model,)

    @property
    def declaration(self) -> JsonObject:
        """Model, prompt and parameters."""
        return {
            "kind": "model",
            "model": self.model,
            "prompt_name": self.prompt_name,
            "prompt": self.prompt,
            "prompt_digest": digest(self.prompt),
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
        }

    async def answer(self, case: Case, meter: Meter) -> Answer:
        """Ask the model once."""
        completion = await meter.ask(
            case.input, model=self.model, system=self.prompt, max_tokens=self.max_tokens, temperature=self.temperature
        )
        return Answer(text=completion.text)


@attrs.frozen(kw_only=True)
class RecordedSubject:
    """Answers that were given earlier: scores them without asking anybody.

    Attributes:
        name: What tables call it.
        answers: Case id → answer; the cases' own recorded answers where None.
    """

    name: str = "recorded"
    answers: Mapping[str, str] | None = attrs.field(default=None, repr=False, hash=False)

    @property
    def models(self) -> tuple[str, ...]:
        """Nobody."""
        return ()

    @property
    def declaration(self) -> JsonObject:
        """Its name, and the answers' digest."""
        own = {} if self.answers is None else {"answers": digest(dict(self.answers))}
        return {"kind": "recorded", "name": self.name, **own}

    async def answer(self, case: Case, meter: Meter) -> Answer:  # noqa: ARG002  # it needs nobody
        """Look the answer up.

        Raises:
            NotFoundError: `evals.subject.no_answer`.
        """
        text = case.answer if self.answers is None else self.answers.get(case.id, "")
        if not text:
            raise NotFoundError(f"no answer to the case {case.id!r} was recorded", code="evals.subject.no_answer")
        return Answer(text=text)


@attrs.frozen(kw_only=True)
class FunctionSubject:
    """Any async function of a case, or of a case and the run's models, that returns a text, an `Answer` or JSON.

    Attributes:
        name: What tables call it.
        function: Called with the case; also with a `Meter` when it takes two arguments.
        version: Change it when the function changes in a way that its own source does not show.
        models: One model for each call it makes for a case, where you know; for the plan.
    """

    name: str
    function: AsyncAnswer = attrs.field(repr=False)
    version: str = ""
    models: tuple[str, ...] = ()

    @property
    def declaration(self) -> JsonObject:
        """Its name and the digest of its source."""
        return {"kind": "function", "name": self.name, "version": self.version, "source": digest(source_of(self.function))}

    async def answer(self, case: Case, meter: Meter) -> Answer:
        """Call the function."""
        made = await (self.function(case, meter) if takes_two(self.function) else self.function(case))
        if isinstance(made, Answer):
            return made
        if isinstance(made, str):
            return Answer(text=made)
        return Answer(text="", data=made)


def recorded(answers: Mapping[str, str] | None = None, *, name: str = "recorded") -> RecordedSubject:
    """A subject that gives recorded answers: your own by case id, or those that stand in the cases."""
    return RecordedSubject(name=name, answers=answers)


def subject(function: AsyncAnswer, *, name: str = "", version: str = "", models: tuple[str, ...] = ()) -> FunctionSubject:
    """An async function as a subject; see `FunctionSubject`.

    Raises:
        InputError: `evals.input.subject` when it is no async function.
    """
    called = function if inspect.isroutine(function) else getattr(function, "__call__", None)  # noqa: B004  # an object's own `__call__`
    if not inspect.iscoroutinefunction(called):
        raise InputError("a subject is an async function of a case: write it with `async def`", code="evals.input.subject")
    found = name or str(getattr(function, "__name__", type(function).__name__))
    return FunctionSubject(name=found, function=function, version=version, models=models)


def takes_two(function: Callable[..., object]) -> bool:
    """Whether a function wants a second positional argument."""
    kinds = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    wanted = [p for p in inspect.signature(function).parameters.values() if p.kind in kinds and p.default is inspect.Parameter.empty]
    return len(wanted) > 1


def source_of(function: Callable[..., object]) -> str:
    """The text of a function, or its name where there is none; a journal knows a changed one by it."""
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}"
