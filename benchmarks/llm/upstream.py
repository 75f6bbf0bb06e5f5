"""A local server that answers like a provider, in its own process; prints its port and ends with its parent.

`start_upstream()` is for the scripts beside it.

It answers any POST whole, or with a stream of 500 chunks; words in the prompt change that: "paced please" is a
chunk per millisecond, "jitter please" 20 to 40 ms, "fail please" HTTP 503, "hang please" nothing at all. It
speaks just enough HTTP to be fast.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

CHUNKS = 500
TEXT = "The buyer cares about time to value, so open with the week they would win back. " * 18
UNARY = json.dumps(
    {
        "id": "gen-1",
        "model": "openai/gpt-oss-120b",
        "provider": "Local",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}],
        "usage": {"prompt_tokens": 700, "completion_tokens": 300, "cost": 0.0003},
    }
).encode()
DELTA = {
    "id": "gen-1",
    "object": "chat.completion.chunk",
    "created": 1763800000,
    "model": "openai/gpt-oss-120b",
    "provider": "Local",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": " week"}, "finish_reason": None}],
}


def _chunk(event: object) -> bytes:
    data = b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


PIECE = _chunk(DELTA)
ENDING = (
    _chunk({**DELTA, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    + _chunk({**DELTA, "choices": [], "usage": {"prompt_tokens": 700, "completion_tokens": 500, "cost": 0.0003}})
    + _chunk(b"[DONE]")
    + b"0\r\n\r\n"
)
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(UNARY) + UNARY
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.split(b"content-length: ", 1)
            body = await reader.readexactly(int(length[1].split(b"\r\n", 1)[0])) if len(length) > 1 else b""
            if b"hang please" in body:
                await reader.read(1)
                return
            if b"fail please" in body:
                writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
            elif b'"stream":true' in body or b'"stream": true' in body:
                pace_s = 0.001 if b"paced please" in body else 0.0
                writer.write(STREAM)
                for _ in range(CHUNKS):
                    writer.write(PIECE)
                    if pace_s:
                        await writer.drain()
                        await asyncio.sleep(pace_s)
                writer.write(ENDING)
            else:
                if b"jitter please" in body:
                    await asyncio.sleep(0.02 + hash(body[-40:]) % 20 / 1000)
                writer.write(WHOLE)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=2**20, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    parent = os.getppid()
    async with server:
        while os.getppid() == parent:  # noqa: ASYNC110  # a parent's end sends no event
            await asyncio.sleep(0.5)


@contextmanager
def start_upstream() -> Iterator[str]:
    """Run this file and give its address."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.terminate()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
