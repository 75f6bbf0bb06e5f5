"""What a flow may ask of the world, as plain values; `coach.effects` performs them, and a test answers them by hand.

A flow yields one of these and is sent what its docstring names, or `Failed`. Results of paid effects are stored
under (event, step) before the flow sees them, so a repeated turn does not pay twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias

import attrs

from dealquest.coach.scorecard import ScoreCard

KeyVerdict: TypeAlias = Literal["good", "wrong", "no_credit", "unreachable"]


@attrs.frozen(kw_only=True)
class Failed:
    """What comes back when an effect could not be had.

    Attributes:
        reason: Why, in words for the user.
        code: The stable code of the error.
        retryable: Whether the same may work later.
    """

    reason: str
    code: str = ""
    retryable: bool = False


@attrs.frozen(kw_only=True)
class ScoreAnswer:
    """Score this answer; brings a `ScoreCard`. `turns` is how often the seller spoke, in a role-play."""

    result: ClassVar[type] = ScoreCard
    paid: ClassVar[bool] = True

    scenario_id: str
    answer: str
    offline: bool = False
    turns: int = 1


@attrs.frozen
class Found:
    """What a look brought: JSON."""

    value: Any = None


@attrs.frozen(kw_only=True)
class Look:
    """Read stored rows of the user whose turn this is; brings `Found`.

    Attributes:
        function: An SQL function `look_...(of_user bigint, ...)` of the public schema, granted to the service role alone.
        arguments: Its other arguments. `of_user` is always the claimed user, whatever the event says.
    """

    result: ClassVar[type] = Found
    paid: ClassVar[bool] = False

    function: str
    arguments: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Line:
    """One line of a conversation with a model."""

    role: Literal["user", "assistant"]
    text: str


@attrs.frozen(kw_only=True)
class Answered:
    """What a model said: an object of the class that was asked for, or a text."""

    value: Any
    model: str = ""


@attrs.frozen(kw_only=True)
class AskModel:
    """Ask the user's model; brings `Answered`.

    Attributes:
        purpose: Names the span, such as `support` or `persona`.
        system: Standing orders; everything the user gave belongs fenced into `lines` instead.
        lines: The conversation, the question last.
        output: An attrs class for the answer; a text is answered when left out, and shown while it is written.
        photo: The `media` of an event, looked at with the last line.
        max_tokens: Most tokens of the answer.
        temperature: 0 to 2; the provider's own when left out.
        shared: Ask the team's model, whatever the user has chosen.
    """

    result: ClassVar[type] = Answered
    paid: ClassVar[bool] = True

    purpose: str
    system: str
    lines: Sequence[Line]
    output: type | None = None
    photo: Mapping[str, Any] | None = None
    max_tokens: int = 4096
    temperature: float | None = None
    shared: bool = False


@attrs.frozen(kw_only=True)
class Heard:
    """What was said in a voice message; empty when nobody spoke."""

    text: str
    language: str = ""


@attrs.frozen(kw_only=True)
class Hear:
    """Write down a voice message; brings `Heard`."""

    result: ClassVar[type] = Heard
    paid: ClassVar[bool] = True

    media: Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Source:
    """A page that a report rests on; untrusted."""

    title: str
    url: str


@attrs.frozen(kw_only=True)
class Reported:
    """What the web says; untrusted. `fenced` is the same, wrapped for a prompt."""

    text: str
    fenced: str
    sources: tuple[Source, ...] = ()


@attrs.frozen(kw_only=True)
class SearchWeb:
    """Look a prospect up on the web with the team's model; brings `Reported`."""

    result: ClassVar[type] = Reported
    paid: ClassVar[bool] = True

    prospect: str
    question: str = ""


@attrs.frozen(kw_only=True)
class Consulted:
    """What the team's notes say; `headings` names the sections that are shown."""

    text: str = ""
    headings: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Consult:
    """Read the team's notes: whole where they fit, else the sections nearest to the query; brings `Consulted`."""

    result: ClassVar[type] = Consulted
    paid: ClassVar[bool] = False

    query: str


@attrs.frozen(kw_only=True)
class KeyChecked:
    """What the provider says of a key; `sealed` only when it is good."""

    verdict: KeyVerdict
    sealed: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class CheckKey:
    """Ask a provider whether a key is good, without spending a token, and seal it for its user; brings `KeyChecked`.

    Never stored as a step: a repeat asks again.
    """

    result: ClassVar[type] = KeyChecked
    paid: ClassVar[bool] = False

    provider: Literal["openrouter", "anthropic"]
    key: str = attrs.field(repr=False)


Effect: TypeAlias = ScoreAnswer | Look | AskModel | Hear | SearchWeb | Consult | CheckKey
EffectResult: TypeAlias = ScoreCard | Found | Answered | Heard | Reported | Consulted | KeyChecked | Failed
