"""Assert on a trace in your own tests, with a fixed clock and repeatable ids. Runs offline."""

from dealquest.testing import FrozenClock, capture_traces
from dealquest.tracing import span, trace


def pipeline() -> str:
    """The code under test."""
    with trace("answer"):
        with span("look up", kind="retrieval"):
            pass
        with span("write"):
            return "done"


with capture_traces(clock=FrozenClock()) as traces:
    assert pipeline() == "done"
traces.assert_tree(("answer", [("look up", []), ("write", [])]))
assert traces.span("look up").kind == "retrieval"
print(traces.traces[0])
