"""Trace a small pipeline into a file through a spool, and read it back as a tree. Runs offline."""

import tempfile
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import anyio
import anyio.to_thread

from dealquest.tracing import Collector, JsonlSink, Tracer, installed_tracer, llm_span, read_traces, span, trace, traced_span
from dealquest.values import Principal, Usage


@traced_span("stream answer")
async def stream_answer(words: str) -> AsyncIterator[str]:
    """A traced stream: what its consumer does between two items is not inside."""
    for word in words.split():
        await anyio.sleep(0.001)
        yield word


async def score(question: str) -> None:
    """One model call, by hand; the router of `dealquest.llm` does this by itself."""
    async with span("score", kind="agent", question=question), llm_span("demo-model", provider="demo") as call:
        call.mark_first_content()
        call.record_usage(Usage(input_tokens=120, output_tokens=30), cost_usd=Decimal("0.0004"))


async def main() -> None:
    """Run the pipeline, then show what was delivered."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "traces.jsonl"
        async with Collector([JsonlSink(file)], spool=Path(folder) / "spool") as collector:
            with installed_tracer(Tracer(collector)):
                async with trace("train", user=Principal(role="authenticated", subject="42")):
                    async with anyio.create_task_group() as tasks:
                        for question in ("price", "timing"):
                            tasks.start_soon(score, question)
                    print(" ".join([word async for word in stream_answer("listen first then answer")]))
            undelivered = await anyio.to_thread.run_sync(collector.flush)
            print("undelivered:", undelivered or "nothing")
        print(read_traces(file)[0])


anyio.run(main)
