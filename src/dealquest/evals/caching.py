"""Answers of models kept on disk: never ask twice, or, in a replay, never ask at all.

The key is everything that matters: address, the whole body with model, prompt and parameters, the dialect's headers, and
the number of the repetition, so that repeats stay independent answers. Keys and other secret headers are neither part of
it nor stored. Only whole, good answers (HTTP 200) are kept; streams pass by.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal, TypeAlias

import anyio
import anyio.to_thread
import attrs
import msgspec

from dealquest.errors import InputError
from dealquest.wire import HttpRequest, HttpResponse, HttpStream, Transport

CacheMode: TypeAlias = Literal["use", "refresh", "replay"]

_KEYED_HEADERS = frozenset({"content-type", "anthropic-version", "anthropic-beta"})
_KEPT_HEADERS = frozenset({"content-type", "request-id", "x-request-id"})
_repeat: ContextVar[int] = ContextVar("dealquest_evals_repeat", default=0)
_hits: ContextVar[list[str] | None] = ContextVar("dealquest_evals_cache_hits", default=None)


@contextmanager
def repetition(number: int) -> Iterator[None]:
    """Requests in this block belong to the repetition of that number."""
    token = _repeat.set(number)
    try:
        yield
    finally:
        _repeat.reset(token)


@contextmanager
def noting_hits() -> Iterator[list[str]]:
    """A list that gets an entry for each request of this block that a cache answers."""
    hits: list[str] = []
    token = _hits.set(hits)
    try:
        yield hits
    finally:
        _hits.reset(token)


@attrs.frozen(kw_only=True)
class _Kept:
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class CachedTransport:
    """A transport in front of another one.

    Args:
        inner: Who really answers; None in a replay.
        folder: Where answers are kept; several processes may share it.
        mode: `use` what is there and keep what is new, `refresh` all, or `replay` only what is there.

    Attributes:
        hits: Requests that were answered from the folder.
        misses: Requests that were not.
    """

    def __init__(self, inner: Transport | None, folder: Path, *, mode: CacheMode = "use") -> None:
        if inner is None and mode != "replay":
            raise InputError("a cache without a transport can only replay", code="evals.input.cache")
        self._inner = inner
        self._folder = folder
        self._mode = mode
        self.hits = 0
        self.misses = 0

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Answer from the folder, or ask and keep the answer.

        Raises:
            InputError: `evals.replay.missing` when a replay lacks it.
        """
        path = self._folder / self._name(request)
        if self._mode != "refresh":
            kept = await anyio.to_thread.run_sync(_read, path)
            if kept is not None:
                self.hits += 1
                noted = _hits.get()
                if noted is not None:
                    noted.append(path.name)
                return HttpResponse(status=200, headers=kept.headers, body=_without_cost(kept.body))
        self.misses += 1
        if self._inner is None or self._mode == "replay":
            raise InputError(
                "this answer was not recorded: record it with a run that has the same cache folder and no replay=True",
                code="evals.replay.missing",
            )
        answer = await self._inner.send(request)
        if answer.status == 200:
            headers = tuple((name, value) for name, value in answer.headers if name in _KEPT_HEADERS)
            await anyio.to_thread.run_sync(_write, path, _Kept(url=request.url, headers=headers, body=answer.body))
        return answer

    def stream(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpStream]:
        """Pass a stream by, uncached.

        Raises:
            InputError: `evals.replay.missing` in a replay.
        """
        if self._inner is None or self._mode == "replay":
            raise InputError("streams are not recorded: ask for whole answers in a replay", code="evals.replay.missing")
        return self._inner.stream(request)

    def _name(self, request: HttpRequest) -> str:
        body = request.body if isinstance(request.body, bytes) else b""
        headers = sorted((name, value) for name, value in request.headers if name in _KEYED_HEADERS)
        facts = msgspec.json.encode([request.method, request.url, headers, _repeat.get()])
        name = hashlib.sha256(facts + b"\n" + body).hexdigest()
        return f"{name[:2]}/{name[2:]}.json"


def _without_cost(body: bytes) -> bytes:
    """The same answer, free of charge, where the provider names its price: it was paid for when it was kept."""
    answer = msgspec.json.decode(body)
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict) or "cost" not in usage:
        return body
    return msgspec.json.encode({**answer, "usage": {**usage, "cost": 0}})


def _read(path: Path) -> _Kept | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (FileNotFoundError, msgspec.DecodeError):
        return None  # a damaged file is asked for again


def _write(path: Path, kept: _Kept) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.draft")
    try:
        draft.write_bytes(msgspec.json.encode(kept))
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)  # a cache that cannot grow costs money, not answers
