"""Five transient faults, one at a time: who still gets the transcript? Ours against the official SDK, on the same local server.

Run: python benchmarks/transcription/faults.py     (the peer's row needs `pip install assemblyai`)
"""

from collections.abc import Callable
from pathlib import Path

import anyio

from dealquest.errors import DealQuestError
from dealquest.testing import AssemblyAIServer, Fault, JobScript
from dealquest.transcription import AssemblyAITranscriber
from dealquest.values import Secret

VOICE = Path(__file__).parents[2] / "tests" / "samples" / "speech" / "voice.ogg"
FAULTS = {
    "upload 503": ("upload", Fault(status=503)),
    "upload 429": ("upload", Fault(status=429)),
    "upload reset": ("upload", Fault(kind="reset", after_bytes=1000)),
    "poll 500": ("poll", Fault(status=500)),
    "poll 429": ("poll", Fault(status=429)),
}


def transcribe_ours(server: AssemblyAIServer) -> bool:
    async def call() -> str:
        async with AssemblyAITranscriber(Secret(server.key), base_url=server.base_url) as speech:
            return (await speech.transcribe(VOICE)).text

    try:
        return bool(anyio.run(call))
    except DealQuestError:
        return False


def transcribe_with_sdk(server: AssemblyAIServer) -> bool:
    import assemblyai  # noqa: PLC0415  # the peer is optional

    assemblyai.settings.base_url = server.base_url
    assemblyai.settings.api_key = server.key
    config = assemblyai.TranscriptionConfig(speech_models=["universal-3-pro", "universal-2"])
    try:
        return assemblyai.Transcriber(config=config).transcribe(str(VOICE)).status == assemblyai.TranscriptStatus.completed
    except Exception:  # noqa: BLE001  # the SDK leaks its HTTP library's errors; any of them is a lost transcript
        return False


def count(name: str, transcribe: Callable[[AssemblyAIServer], bool]) -> None:
    survived = []
    for fault_name, (route, fault) in FAULTS.items():
        with AssemblyAIServer(script=JobScript(processing_s=0.2)) as server:
            server.fail(route, fault)
            if transcribe(server):
                survived.append(fault_name)
    print(f"{name:14} {len(survived)} of {len(FAULTS)}  {', '.join(survived) or '-'}")


def main() -> None:
    """Print one row per client."""
    count("dealquest", transcribe_ours)
    try:
        import assemblyai  # noqa: F401, PLC0415  # the peer is optional
    except ImportError:
        print("assemblyai     not installed")
    else:
        count("assemblyai", transcribe_with_sdk)


if __name__ == "__main__":
    main()
