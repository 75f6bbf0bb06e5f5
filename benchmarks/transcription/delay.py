"""How late is a finished job noticed, and how exact is a deadline? Ours against the official SDK, in one run.

Thirty jobs are ready 0.3 to 10 s after their creation, evenly spread, all at once. Then jobs that are never
ready meet a deadline of 2 s.

Run: python benchmarks/transcription/delay.py      (the peer's rows need `pip install assemblyai`)
"""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio

from dealquest.errors import LimitError
from dealquest.testing import AssemblyAIServer, JobScript
from dealquest.transcription import AssemblyAITranscriber, PollPlan
from dealquest.values import Secret

VOICE = Path(__file__).parents[2] / "tests" / "samples" / "speech" / "voice.ogg"
JOBS = 30
DEADLINES = 20
DEADLINE_S = 2.0
PLANS = {"dealquest": PollPlan(), "plain waits": PollPlan(brisk_for_s=0.0)}


def ready_after(number: int) -> float:
    """Seconds of work of one job."""
    return 0.3 + 9.7 * (number + 0.5) / JOBS


async def measure_ours(plan: PollPlan) -> list[float]:
    """Delays of one plan."""
    delays: list[float] = []
    with AssemblyAIServer() as server:
        async with AssemblyAITranscriber(Secret(server.key), base_url=server.base_url, polls=plan) as speech:

            async def one() -> None:
                transcript = await speech.transcribe(VOICE, languages=("en",))
                delays.append(time.monotonic() - server.jobs[str(transcript.id)].done_at)

            async with anyio.create_task_group() as tasks:
                for number in range(JOBS):
                    server.script = JobScript(processing_s=ready_after(number))
                    tasks.start_soon(one)
                    # One after the other to the server, so that each job gets its own script.
                    while len(server.jobs) <= number:  # noqa: ASYNC110  # the server is a thread
                        await anyio.sleep(0.002)
    return delays


async def measure_our_deadline() -> list[float]:
    """Seconds over the deadline."""
    overruns: list[float] = []
    with AssemblyAIServer(script=JobScript(processing_s=60)) as server:
        async with AssemblyAITranscriber(Secret(server.key), base_url=server.base_url) as speech:

            async def one() -> None:
                began = time.monotonic()
                try:
                    await speech.transcribe(VOICE, deadline_s=DEADLINE_S)
                except LimitError:
                    overruns.append(time.monotonic() - began - DEADLINE_S)

            async with anyio.create_task_group() as tasks:
                for _ in range(DEADLINES):
                    tasks.start_soon(one)
    return overruns


def measure_sdk() -> tuple[list[float], list[float]]:
    """Delays and overruns of the official SDK with its defaults."""
    import assemblyai  # noqa: PLC0415  # the peer is optional

    def one(number: int) -> float:
        server.script = JobScript(processing_s=ready_after(number))
        transcript = transcriber.submit(str(VOICE))
        transcript.wait_for_completion()
        return time.monotonic() - server.jobs[str(transcript.id)].done_at

    def late(_: int) -> float:
        began = time.monotonic()
        try:
            transcriber.transcribe(str(VOICE), poll_timeout=DEADLINE_S)
        except assemblyai.types.TranscriptError:
            return time.monotonic() - began - DEADLINE_S
        raise AssertionError("the job was never to be ready")

    with AssemblyAIServer() as server:
        assemblyai.settings.base_url = server.base_url
        assemblyai.settings.api_key = server.key
        transcriber = assemblyai.Transcriber(config=assemblyai.TranscriptionConfig(speech_models=["universal-3-pro"]))
        with ThreadPoolExecutor(JOBS) as pool:
            futures = []
            for number in range(JOBS):
                futures.append(pool.submit(one, number))
                while len(server.jobs) <= number:  # as above
                    time.sleep(0.002)
            delays = [future.result() for future in futures]
            server.script = JobScript(processing_s=60)
            overruns = list(pool.map(late, range(DEADLINES)))
    return delays, overruns


def show(name: str, delays: list[float], overruns: list[float]) -> None:
    """Print one row."""
    late = f"{max(overruns):+8.3f} s" if overruns else "         -"
    print(f"{name:14} {statistics.fmean(delays):8.3f} s {max(delays):8.3f} s {late}")


def main() -> None:
    """Print the table."""
    print(f"{'':14} {'mean delay':>10} {'worst':>10} {'overrun':>10}")
    overruns = anyio.run(measure_our_deadline)
    for name, plan in PLANS.items():
        show(name, anyio.run(measure_ours, plan), overruns)
    try:
        show("assemblyai", *measure_sdk())
    except ImportError:
        print("assemblyai     not installed")


if __name__ == "__main__":
    main()
