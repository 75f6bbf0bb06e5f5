"""Traces in a user's own tests: what was traced in a block, and an assertion on its tree.

With pytest, the fixture `captured_traces` comes from the plugin `dealquest.testing.pytest_plugin`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

from dealquest.tracing import Capture, MemoryRecorder, SpanModel, Trace, Tracer, installed_tracer
from dealquest.values import Clock

Tree: TypeAlias = tuple[str, Sequence["Tree"]]


class CapturedTraces(MemoryRecorder):
    """What was traced since the capture began."""

    @property
    def names(self) -> list[str]:
        """The spans' names in the order in which they ended."""
        return [span.span_name for span in self.spans]

    def span(self, name: str) -> SpanModel:
        """The one span with a name; an assertion error when there is none or more than one."""
        found = [span for span in self.spans if span.span_name == name]
        assert len(found) == 1, f"{len(found)} spans are named {name!r}; there are {self.names}"
        return found[0]

    @property
    def trees(self) -> list[Tree]:
        """Each trace as nested (name, children), oldest first."""
        return [tree for trace in reversed(self.traces) for tree in build_trees(trace)]

    def assert_tree(self, *expected: Tree) -> None:
        """Fail unless exactly these trees were traced; siblings stand in the order of their starts."""
        found = self.trees
        assert found == [_plain(tree) for tree in expected], "The trees are:\n" + "\n".join(str(trace) for trace in self.traces)


def build_trees(trace: Trace) -> list[Tree]:
    """A trace's roots as nested (name, children)."""
    roots: list[Tree] = []
    path: list[list[Tree]] = [roots]
    for depth, span in trace.walk():
        children: list[Tree] = []
        del path[depth + 1 :]
        path[min(depth, len(path) - 1)].append((span.span_name, children))
        path.append(children)
    return roots


def _plain(tree: Tree) -> Tree:
    name, children = tree
    return (name, [_plain(child) for child in children])


@contextmanager
def capture_traces(*, capture: Capture = "content", clock: Clock | None = None, seed: int | None = 1) -> Iterator[CapturedTraces]:
    """Trace into memory for the length of a block.

    Args:
        capture: What spans keep of inputs and outputs.
        clock: A fake one makes times repeat.
        seed: Makes ids repeat; None draws them from the operating system.
    """
    traces = CapturedTraces()
    with installed_tracer(Tracer(traces, capture=capture, clock=clock, seed=seed, otel=False)):
        yield traces
