"""The floor: a bare ASGI application under the same protocol and options as `dealquest serve` (`python floor.py --port N`)."""

import sys
from typing import Any

import uvicorn

from dealquest_http.protocol import GuardedProtocol

BODY = b'{"status":"ok"}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(BODY))]


async def application(scope: Any, _: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": BODY})


if __name__ == "__main__":
    uvicorn.run(
        application, host="127.0.0.1", port=int(sys.argv[2]), lifespan="off", http=GuardedProtocol, access_log=False, timeout_keep_alive=75
    )
