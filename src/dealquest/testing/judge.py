"""A model that returns prepared objects, for tests of whatever asks one."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class JudgeCall:
    """What a `ScriptedJudge` was asked."""

    messages: tuple[Mapping[str, str], ...]
    system: str
    model: str | None


class ScriptedJudge:
    """Answers each call with the next prepared object; an exception in the list is raised.

    Args:
        answers: Objects, exceptions, or functions of the call that return one.
    """

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.calls: list[JudgeCall] = []

    async def complete(
        self,
        prompt: Sequence[Mapping[str, str]],
        *,
        output: type[T],
        model: str | None = None,
        system: str = "",
        temperature: float | None = None,  # noqa: ARG002  # part of the face it stands in for
    ) -> T:
        """Return the next answer."""
        call = JudgeCall(messages=tuple(prompt), system=system, model=model)
        self.calls.append(call)
        answer = self._answers.pop(0)
        made: object = answer(call) if callable(answer) else answer
        if isinstance(made, BaseException):
            raise made
        assert isinstance(made, output), f"the script holds {type(made).__name__}, {output.__name__} was asked for"
        return made
