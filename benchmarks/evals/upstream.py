"""A local server of chat models with a fixed delay, in its own process; prints its port and ends with its parent.

`start_upstream(delay_s)` is for the scripts beside it. GET /count says how many answers were asked for.
"""

import asyncio
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

TEXT = "What does the queue at the gate cost you in a week? Shall we look at it together on Tuesday at nine? " * 3
ANSWER = json.dumps(
    {
        "id": "gen-1",
        "model": "openai/gpt-oss-120b",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}],
        "usage": {"prompt_tokens": 400, "completion_tokens": 70, "cost": 0.0001},
    }
).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


async def main(delay_s: float) -> None:
    asked = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if head.startswith(b"get"):
                    body = str(asked).encode()
                    writer.write(HEAD % len(body) + body)
                    continue
                length = head.split(b"content-length: ", 1)
                await reader.readexactly(int(length[1].split(b"\r\n", 1)[0]))
                asked += 1
                await asyncio.sleep(delay_s)
                writer.write(HEAD % len(ANSWER) + ANSWER)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    parent = os.getppid()
    async with server:
        while os.getppid() == parent:  # noqa: ASYNC110  # a parent's end sends no event
            await asyncio.sleep(0.5)


@contextmanager
def start_upstream(delay_s: float) -> Iterator[str]:
    """Run this file and give its address."""
    with subprocess.Popen([sys.executable, __file__, str(delay_s)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.terminate()


def count_asked(url: str) -> int:
    """How many answers this upstream was asked for."""
    with urllib.request.urlopen(url + "/count") as answer:
        return int(answer.read())


if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]))))
