"""What larger flows share: look something up as a value, ask a model for an object that holds, read ids and sources."""

import re
from collections.abc import Callable, Generator, Sequence
from typing import TypeAlias, TypeVar

import attrs
import msgspec

from .effects import Answered, AskModel, Effect, EffectResult, Failed, Found, Line, Look, Source
from .scene import Scene
from .text import Text

T = TypeVar("T")

Step: TypeAlias = Generator[Effect, EffectResult, T]
"""A part of a flow that ends with a value and not yet with a turn."""

MAX_URL_CHARACTERS = 1_000

_REASONS = {
    "llm.busy": "busy",
    "llm.unavailable.rate_limited": "busy",
    "llm.unavailable.resting": "away",
    "llm.unavailable.server": "away",
    "llm.routes.exhausted": "away",
    "llm.stream.interrupted": "away",
    "llm.deadline": "slow",
    "llm.timeout": "slow",
    "llm.refused.key": "key",
    "llm.refused.permission": "key",
    "llm.refused.credit": "credit",
    "llm.budget.exceeded": "credit",
    "llm.refused.model": "model",
    "llm.refused.context_length": "long",
    "llm.refused.moderation": "declined",
    "llm.answer.refused": "declined",
    "llm.answer.empty": "garbled",
    "llm.answer.garbled": "garbled",
    "llm.answer.truncated": "garbled",
    "llm.answer.unfinished": "garbled",
    "llm.output.invalid": "garbled",
    "coach.verdict.invalid": "garbled",
    "coach.advice.invalid": "garbled",
    "transcription.empty": "sound_short",
    "transcription.too_short": "sound_short",
    "telegram.sound_empty": "sound_short",
    "transcription.too_large": "file_large",
    "transcription.too_long": "sound_long",
    "telegram.sound_too_long": "sound_long",
    "transcription.not_audio": "sound_unplayable",
    "transcription.job_failed": "sound_unplayable",
    "transcription.job_lost": "ears_away",
    "transcription.rate_limited": "ears_away",
    "transcription.unavailable": "ears_away",
    "transcription.garbled": "ears_away",
    "transcription.unknown_id": "ears_away",
    "transcription.create_unknown": "ears_away",
    "transcription.deadline": "ears_slow",
    "transcription.queued": "ears_slow",
    "transcription.not_configured": "ears_unset",
    "transcription.key_refused": "ears_unset",
    "transcription.no_credit": "ears_unset",
    "transcription.refused": "ears_unset",
    "transcription.bad_option": "ears_unset",
    "transcription.unreadable": "file_gone",
    "telegram.file_gone": "file_gone",
    "cli.media.missing": "file_gone",
    "telegram.file_too_large": "file_large",
    "cli.media.too_large": "file_large",
    "telegram.no_picture": "no_picture",
    "cli.media.no_picture": "no_picture",
    "telegram.flood": "file_away",
    "telegram.garbled": "file_away",
    "telegram.refused": "file_away",
    "telegram.unreachable": "file_away",
}
"""What a failure is called to a user, who is served by neither a status nor the name of a class; traces have those."""

_LIMIT = re.compile(r"than ([0-9]+) (MB|minutes)\b")
"""The limit that a failure names; its sentence in the user's language names it too."""

_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_MAX_STORED = 2**63 - 1


def read_number(word: str) -> int | None:
    """A number out of a button's data, if it can be the id of a row or of an event.

    >>> read_number("42"), read_number("042"), read_number("9223372036854775808")
    (42, None, None)
    """
    return int(word) if _NUMBER.fullmatch(word) and int(word) <= _MAX_STORED else None


def look(wanted: type[T], function: str, /, **arguments: object) -> "Step[T | Failed | None]":
    """What an SQL function reads of the user's rows; None where there is nothing."""
    outcome = yield Look(function=function, arguments=arguments)
    if isinstance(outcome, Failed):
        return outcome
    assert isinstance(outcome, Found)
    return None if outcome.value is None else msgspec.convert(outcome.value, wanted)


def ask(question: AskModel, output: type[T], check: Callable[[T], list[str]]) -> "Step[T | Failed]":
    """An object from the user's model that passes its checks, mended once if need be."""
    question = attrs.evolve(question, output=output)
    faults: list[str] = []
    for _ in range(2):
        outcome = yield question
        if isinstance(outcome, Failed):
            return outcome
        assert isinstance(outcome, Answered)
        answer: T = outcome.value
        faults = check(answer)
        if not faults:
            return answer
        given = Line("assistant", msgspec.json.encode(answer).decode())
        question = attrs.evolve(question, lines=(*question.lines, given, Line("user", _mend(faults))))
    return Failed(reason="The model's answer did not hold, not even mended.", code="coach.advice.invalid", retryable=True)


def usable_sources(found: Sequence[Source]) -> tuple[Source, ...]:
    """Pages that can be shown and kept: web addresses of a bearable length, ten at most."""
    pages = (source for source in found if source.url.startswith(("https://", "http://")) and len(source.url) <= MAX_URL_CHARACTERS)
    return tuple(attrs.evolve(page, title=page.title[:200]) for page in pages)[:10]


def reason_of(scene: Scene, failure: Failed) -> Text:
    """Why something failed, as a sentence: in the user's language where there is one for it, else what the failing part says."""
    # Whatever the records say, it was not the user who could have asked them better.
    key = "records" if failure.code.startswith("storage.") else _REASONS.get(failure.code)
    if key in {"sound_long", "file_large"} and (limit := _LIMIT.search(failure.reason)) is not None:
        return scene.say("reason.limit_mb" if limit[2] == "MB" else "reason.limit_minutes", limit=limit[1])
    if key is not None:
        return scene.say(f"reason.{key}")
    return Text(failure.reason[:1].upper() + failure.reason[1:].rstrip(".") + ".")


def _mend(faults: list[str]) -> str:
    return "Your answer could not be accepted:\n" + "\n".join(f"- {fault}" for fault in faults) + "\nGive the whole answer again, mended."
