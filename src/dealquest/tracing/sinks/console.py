"""Finished traces as trees of text, for a developer's terminal."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import TextIO

from ..models import SpanModel  # noqa: TID252  # a folder of one room
from ..records import Record  # noqa: TID252  # see above
from ..story import assemble, draw_tree  # noqa: TID252  # see above
from .protocol import Accepted, Outcome, Unavailable

OPEN_TRACES = 256


class ConsoleSink:
    """Prints a trace when its end arrives; spans of at most 256 open traces are kept until then.

    Args:
        stream: Where to print; standard error when left out.
        name: Its name.
    """

    def __init__(self, stream: TextIO | None = None, *, name: str = "console") -> None:
        self.name = name
        self._stream = stream
        self._open: OrderedDict[str, list[SpanModel]] = OrderedDict()

    def deliver(self, records: Sequence[Record], *, timeout_s: float) -> Outcome:  # noqa: ARG002  # a terminal takes no deadline
        """Keep spans, print ended traces."""
        lines: list[str] = []
        for record in records:
            row = record.decode()
            if isinstance(row, SpanModel):
                self._open.setdefault(str(row.trace_id), []).append(row)
                if len(self._open) > OPEN_TRACES:
                    self._open.popitem(last=False)
            elif row.finished:
                stories = assemble(self._open.pop(str(row.trace_id), []), [row])
                lines.extend(draw_tree(story) for story in stories)
        return self._print(lines)

    def _print(self, lines: list[str]) -> Outcome:
        if self._stream is None:
            import sys  # noqa: PLC0415  # the stream of now: tests and hosts replace it

            stream = sys.stderr
        else:
            stream = self._stream
        try:
            stream.writelines(line + "\n" for line in lines)
            stream.flush()
        except (OSError, ValueError) as exc:
            return Unavailable(f"the terminal is gone ({type(exc).__name__})")
        return Accepted()

    def close(self) -> None:
        """Forget open traces."""
        self._open.clear()
