"""What one flow answers to: its commands, its buttons, and the states in which words or photos are meant for it."""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeAlias

import attrs

from .scene import Flow, Scene
from .values import Turn

Answer: TypeAlias = Flow | Turn
"""A turn that is ready, or a flow that asks for effects first."""

Command: TypeAlias = Callable[[Scene, str], Answer]
"""Handles a command with its argument, in lower case."""

Press: TypeAlias = Callable[[Scene, Sequence[str]], Answer | None]
"""Handles the words of a button's data after its first; None for a button that was never offered, or is stale."""

Job: TypeAlias = Callable[[Scene], Answer]
"""Handles what was left to be done later; its payload is `scene.event.media`."""


@attrs.frozen(kw_only=True)
class Part:
    """One flow's table.

    Attributes:
        commands: By name, without the slash.
        buttons: By the first word of the data.
        words: By `State.at`: what is said while the flow is open.
        photos: By `State.at`: what is shown while the flow is open.
    """

    commands: Mapping[str, Command] = attrs.field(factory=dict)
    buttons: Mapping[str, Press] = attrs.field(factory=dict)
    words: Mapping[str, Job] = attrs.field(factory=dict)
    photos: Mapping[str, Job] = attrs.field(factory=dict)


def finish(answer: Answer) -> Flow:
    """Either kind of answer as a flow."""
    if isinstance(answer, Generator):
        return (yield from answer)
    return answer
