"""`dealquest ask`: one question to a model; the answer on standard output, its cost on the error stream."""

import importlib
import sys
from pathlib import Path
from typing import Annotated, Any

import anyio
import msgspec
from cyclopts import Parameter

from dealquest.errors import InputError
from dealquest.llm import Completion, Done, Router, Structured, TextDelta
from dealquest.settings import load_settings


def ask(
    question: Annotated[str, Parameter(allow_leading_hyphen=True)],  # `-` would be taken for an option
    *,
    model: str | None = None,
    json: str | None = None,
    stream: bool = False,
) -> None:
    """Ask a model.

    Args:
        question: What to ask; `-` reads standard input.
        model: Whom to ask; the configured default when left out.
        json: An attrs class as module:Class; the answer is one validated JSON object of it.
        stream: Print the answer as it arrives.
    """
    if question.startswith("-") and question != "-":
        raise InputError(f"There is no option {question.split()[0]}; see `dealquest ask --help`.", code="cli.ask.options")
    if json is not None and stream:
        raise InputError("A validated object comes whole: leave out --stream or --json.", code="cli.ask.options")
    text = sys.stdin.read() if question == "-" else question
    anyio.run(_ask, text, model, None if json is None else _find_class(json), stream)


async def _ask(question: str, model: str | None, output: type | None, stream: bool) -> None:
    async with Router.from_settings(load_settings()) as llm:
        if output is not None:
            made: Structured[Any] = await llm.structured(question, output, model=model)
            print(msgspec.json.format(msgspec.json.encode(made.value), indent=2).decode())
            _note(made.completion)
        elif stream:
            async for event in llm.stream(question, model=model):
                if isinstance(event, TextDelta):
                    print(event.text, end="", flush=True)
                elif isinstance(event, Done):
                    print()
                    _note(event.completion)
        else:
            answer = await llm.complete(question, model=model)
            print(answer.text)
            _note(answer)


def _note(answer: Completion) -> None:
    cost = "cost unknown" if answer.cost_usd is None else f"{answer.cost_usd} USD"
    print(f"{answer.model} · {answer.usage.total_tokens} tokens · {cost}", file=sys.stderr)


def _find_class(place: str) -> type:
    """A class by `module:Class`, looked for in the current folder too."""
    module, _, name = place.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as exc:
        raise InputError(f"There is no class {place!r}; write it as module:Class, such as cards:ScoreCard.", code="cli.ask.class") from exc
    if not isinstance(found, type):
        raise InputError(f"{place!r} is no class.", code="cli.ask.class")
    return found
