"""More memory that 10,000 samples take than 100, each run in a process of its own: bar 60 MB.

    python benchmarks/evals/memory.py           about half a minute

The samples answer at once with 300 characters; the journal is on, the run is held, and its table is reckoned in neither.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path


def work(samples: int) -> None:
    from dealquest import evals  # noqa: PLC0415  # the process that only compares needs it not

    suite = evals.load([{"id": str(place), "input": f"Case {place}: answer the buyer."} for place in range(samples)])

    async def answer(case: evals.Case) -> str:
        return f"{case.id} What does the queue cost you? ".ljust(300, "x")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        run = evals.run_sync(
            suite,
            subjects=[answer],
            scorers=[evals.regex(r"\?")],
            concurrency=64,
            journal=Path(folder) / "run.jsonl",
            progress="none",
        )
    assert len(run.ledger.scores) == samples
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        work(int(sys.argv[1]))
    else:
        grown = {}
        for samples in (100, 10_000):
            done = subprocess.run([sys.executable, __file__, str(samples)], capture_output=True, text=True, check=True)
            grown[samples] = float(done.stdout)
        more = grown[10_000] - grown[100]
        print(f"10,000 samples: {grown[10_000]:.1f} MB, 100 samples: {grown[100]:.1f} MB; {more:.1f} MB more (bar 60)")
