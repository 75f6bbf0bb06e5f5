"""What a 500 MB upload costs in memory, over each transport, against a server in another process.

Run: python benchmarks/transcription/memory.py
"""

import resource
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import anyio

VOICE = Path(__file__).parents[2] / "tests" / "samples" / "speech" / "voice.ogg"
SIZE = 500 * 1000 * 1000


def serve() -> None:
    """Be the peer until the parent hangs up; tell at the end what arrived."""
    from dealquest.testing import AssemblyAIServer  # noqa: PLC0415  # only in this role

    with AssemblyAIServer() as server:
        print(server.base_url, server.key, flush=True)
        sys.stdin.readline()
        print(server.sounds[-1].size, flush=True)


async def upload(base_url: str, key: str, path: str, transport: str) -> None:
    """Send the small voice note first, then measure the large file."""
    from dealquest import wire  # noqa: PLC0415  # only in this role
    from dealquest.transcription import AssemblyAITranscriber  # noqa: PLC0415  # as above
    from dealquest.values import Secret  # noqa: PLC0415  # as above

    async with getattr(wire, transport)() as opened, AssemblyAITranscriber(Secret(key), base_url=base_url, transport=opened) as speech:
        await speech.transcribe(VOICE)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await speech.transcribe(path, deadline_s=120)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, flush=True)


def main() -> None:
    """Print megabytes of growth per transport."""
    role = sys.argv[1:2]
    if role == ["serve"]:
        serve()
        return
    if role == ["upload"]:
        anyio.run(upload, *sys.argv[2:6])
        return
    me = [sys.executable, __file__]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.ogg"
        with path.open("wb") as file:
            file.write(VOICE.read_bytes())
            file.truncate(SIZE)
        for transport in ("HttpxTransport", *(("AiohttpTransport",) if find_spec("aiohttp") else ())):
            with subprocess.Popen([*me, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
                assert server.stdin is not None
                assert server.stdout is not None
                base_url, key = server.stdout.readline().split()
                grown = subprocess.run([*me, "upload", base_url, key, str(path), transport], capture_output=True, text=True, check=True)
                server.stdin.write("\n")
                server.stdin.flush()
                arrived = int(server.stdout.readline())
            print(f"{transport:18} {float(grown.stdout):6.1f} MB for {arrived / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
