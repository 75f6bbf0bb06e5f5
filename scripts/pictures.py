"""Draw the pictures of the README and the docs from the running house: the terminal coach, and the trace of a graded answer.

    .venv/bin/python scripts/pictures.py

A model on loopback gives the score; everything else is what a user runs.
"""

import html
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import msgspec
from rich.console import Console

from dealquest.cli.terminal import RichFace
from dealquest.coach import CriterionVerdict, Verdict, load_pack, score_by_signals
from dealquest.compose import Kit, open_kit
from dealquest.settings import Settings
from dealquest.testing import Arrival, Chatter, LoopbackServer, Reply
from dealquest.tracing import RemoteTraces, Trace
from dealquest.values import SERVICE

ASSETS = Path(__file__).resolve().parent.parent / "docs/assets"
SCENARIO = load_pack("en").scenario("objection_01")
ANSWER = SCENARIO.anchors.fair.text


class Judge(LoopbackServer):
    """An OpenAI-compatible server that scores the one answer it is asked about."""

    def answer(self, arrival: Arrival) -> Reply:
        """Take a moment, as models do, then give the points that the signals would give."""
        for _ in arrival.chunks():
            pass
        time.sleep(0.2)
        card = score_by_signals(SCENARIO, ANSWER)
        quotes = iter(re.split(r"(?<=[.?!])\s+", ANSWER))
        criteria = [
            CriterionVerdict(criterion=item.criterion, quote=next(quotes, ""), feedback=item.feedback, score=item.score, suggestion="")
            for item in card.criteria
        ]
        verdict = Verdict(criteria=criteria, strengths=list(card.strengths), improvements=[])
        choice = {"finish_reason": "stop", "message": {"role": "assistant", "content": msgspec.json.encode(verdict).decode()}}
        return Reply.json({"model": "local", "choices": [choice], "usage": {"prompt_tokens": 1180, "completion_tokens": 260}})


async def play(home: Path) -> tuple[str, Trace]:
    """One scenario in the terminal, scored offline; then the same answer scored by a model, and its trace."""
    console = Console(record=True, width=84, highlight=False, file=(home / "out").open("w", encoding="utf-8"))
    face = RichFace(console)
    async with open_kit(Settings(home=home / "data")) as kit:
        chat = Chatter(kit.turns(), name="ann", source="terminal")
        await chat.says("/train")
        await chat.presses("data:again:" + SCENARIO.id)
        show(face, chat)
        console.print(f"{face.prompt}{ANSWER}", style="bold")
        await chat.says(ANSWER)
        show(face, chat)
    with Judge() as judge:
        async with open_kit(Settings(home=home / "data", openai_base_url=judge.base_url)) as kit:
            return export(console), await trace_an_answer(kit)


def export(console: Console) -> str:
    """The recorded terminal; in the reader's own font, since a picture loads nothing from elsewhere."""
    drawn = re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="scripts/chat"), flags=re.DOTALL)
    return re.sub(r"<!--.*?-->", "", drawn, flags=re.DOTALL).replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")


def show(face: RichFace, chat: Chatter) -> None:
    """What the terminal prints after a turn."""
    first = 1
    for delivery in chat.replies:
        face.show(delivery.reply, first_button=first)
        first += sum(map(len, delivery.reply.buttons))


async def trace_an_answer(kit: Kit) -> Trace:
    """A graded answer, as it stands in the records once the collector has delivered it."""
    chat = Chatter(kit.turns(), name="ben", source="terminal", first_update=100)
    await chat.presses("data:again:" + SCENARIO.id)
    await chat.says(ANSWER)
    assert kit.engine is not None, "embedded records have an engine"
    stored = RemoteTraces(kit.engine.bind(SERVICE))
    while True:
        for row in await stored.list_traces(pipeline="train"):
            trace = await stored.read_trace(row.trace_id)
            if any(span.kind == "llm" for _, span in trace.walk()):
                return trace
        await anyio.sleep(0.2)


def frame(trace: Trace) -> str:
    """The timeline as a picture of its own, on a ground that reads on light and dark pages, under a line that says what it is."""
    drawn = re.search(r'<svg ([^>]*)viewBox="0 0 (\d+) (\d+)"([^>]*)>(.*)</svg>', trace._repr_html_(), re.DOTALL)
    assert drawn is not None, "a timeline is an SVG"
    _, width, height, _, rows = drawn.groups()
    name_and_totals = str(trace).splitlines()[0].partition(" ")[2]
    title = f'<tspan font-weight="700">dealquest traces show</tspan>  {html.escape(name_and_totals)}'
    edge, head = 16, 40
    font = "ui-monospace, Menlo, Consolas, monospace"
    whole = (int(width) + 2 * edge, int(height) + head)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {whole[0]} {whole[1]}" width="{whole[0]}" height="{whole[1]}" role="img" '
        f'aria-label="Timeline of {html.escape(trace.name)}" font-family="{font}" font-size="12" fill="#222">'
        f'<rect x="0.5" y="0.5" width="{whole[0] - 1}" height="{whole[1] - 1}" rx="8" fill="#fff" stroke="#d0d7de"/>'
        f'<text x="{edge + 4}" y="26" xml:space="preserve">{title}</text><g transform="translate({edge} {head})">{rows}</g></svg>\n'
    )


@contextmanager
def folder() -> Iterator[Path]:
    """A data folder that PostgreSQL's account may enter."""
    with tempfile.TemporaryDirectory(prefix="dealquest-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


if __name__ == "__main__":
    with folder() as home:
        terminal, trace = anyio.run(play, home)
    ASSETS.mkdir(exist_ok=True)
    (ASSETS / "terminal.svg").write_text(terminal, "utf-8")
    (ASSETS / "trace.svg").write_text(frame(trace), "utf-8")
