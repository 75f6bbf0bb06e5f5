"""Transcribe a voice note, offline: a server on loopback plays AssemblyAI.

With ASSEMBLYAI_API_KEY set, `Transcriber.from_env()` alone is enough.
"""

from pathlib import Path

import anyio

from dealquest.errors import LimitError
from dealquest.testing import AssemblyAIServer, JobScript
from dealquest.transcription import Progress, Transcriber, format_srt

VOICE = Path(__file__).parents[1] / "tests" / "samples" / "speech" / "voice.ogg"


def show(progress: Progress) -> None:
    """A progress bar in one line."""
    print(f"  {progress.stage} {progress.sent_bytes}/{progress.total_bytes} bytes")


async def main() -> None:
    """Transcribe; then meet a deadline and resume."""
    script = JobScript(text="We could start with a pilot of three seats next week.", processing_s=1.5, duration_s=5)
    with AssemblyAIServer(script=script) as server:
        environ = {"ASSEMBLYAI_API_KEY": server.key, "ASSEMBLYAI_BASE_URL": server.base_url}
        async with Transcriber.from_env(environ) as speech:
            transcript = await speech.transcribe(VOICE, languages=("en", "ru"), on_progress=show)
            print(transcript.text, f"({transcript.language}, {transcript.duration_s} s, {transcript.cost_usd} USD)")
            print(format_srt(transcript))
            try:
                await speech.transcribe(VOICE, deadline_s=1)
            except LimitError as exc:
                print(exc.message)
                if exc.reference is not None:
                    print((await speech.resume(exc.reference)).text)


if __name__ == "__main__":
    anyio.run(main)
