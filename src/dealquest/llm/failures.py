"""Judge a failure: try again, try elsewhere, or stop; the same table for both dialects.

RETRY: 408 409 425 429 5xx 524 529, broken connections, an error of those kinds inside a 200, an empty
or unreadable answer. FALL BACK: the model is gone, the context is too long, moderation, no endpoint.
STOP: the request, the key, the credit or the permission is wrong. What the peer says about itself
(`retryable`, `x-should-retry`) overrides the table. Messages hold ids only: a peer's words may echo
the prompt or the key.
Source: OpenRouter "Errors and debugging", Anthropic "Errors", read 2026-11-22.
"""

import re
from datetime import datetime
from typing import Literal, TypeAlias

import attrs
import msgspec

from dealquest.errors import (
    DealQuestError,
    InputError,
    LimitError,
    PeerGarbledError,
    PeerRefusedError,
    PeerUnavailableError,
)
from dealquest.values import Json, JsonObject
from dealquest.wire import Headers, find_header, parse_retry_after

from .reading import as_list, as_object, as_text

Verdict: TypeAlias = Literal["retry", "fall_back", "stop"]

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_CONTEXT = ("context_length_exceeded", "context length", "prompt is too long", "maximum context", "model_context_window_exceeded")
_MODERATION = {"content_policy_violation", "moderation", "content_filter", "guardrail_blocked"}
_GONE = {"model_not_found", "model_deprecated", "not_found_error", "model_not_available"}
_NO_ENDPOINT = {"no_endpoints", "privacy_restricted", "no_allowed_providers"}
_RATE = {"rate_limit_exceeded", "rate_limit_error", "rate_limited", "capacity_exhausted"}
_BUSY = {
    "provider_overloaded",
    "overloaded_error",
    "temporarily_unavailable",
    "server_error",
    "api_error",
    "provider_unavailable",
    "timeout",
}
_SPEND = ("specified api usage limits", "credit balance is too low", "spend limit", "spending limit")
_NUMBERED = {"server_error": 500, "overloaded_error": 529, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504,
             "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
             "not_found_error": 404, "request_too_large": 413}  # fmt: skip


@attrs.frozen(kw_only=True)
class Failure:
    """Why an attempt failed, and what that means for the call.

    Attributes:
        error: What the caller sees when nothing else helps.
        verdict: Try this route again, try another, or stop the call.
        hint_s: Seconds the peer asked to wait.
        timed_out: Whether time ran out, so that the peer may still be working and charging.
        sent: Whether the peer may have charged for it.
        gone: Whether the model is not served any more.
        successors: Models the peer recommends in its place.
        ill: Whether it speaks against the route's health (an outage), not against this one request.
    """

    error: DealQuestError
    verdict: Verdict
    hint_s: float | None = None
    timed_out: bool = False
    sent: bool = False
    gone: bool = False
    successors: tuple[str, ...] = ()
    ill: bool = False


def judge_error(error: DealQuestError) -> Failure:
    """Judge a transport's error."""
    if isinstance(error, InputError):
        # The request itself is wrong, or a recording does not know it: nothing was sent, and no server is ill.
        return Failure(error=error, verdict="stop")
    match error.code:
        case "wire.connect":
            return Failure(error=error, verdict="retry", ill=True)
        case "wire.timeout":
            return Failure(error=error, verdict="retry", timed_out=True, sent=True, ill=True)
        case "wire.too_large" | "wire.sse_too_large":
            return Failure(error=error, verdict="fall_back", sent=True)
        case _:
            return Failure(error=error, verdict="retry" if error.retryable else "stop", sent=True, ill=True)


def judge_garbled(what: str, *, code: str = "llm.answer.garbled", received: str = "") -> Failure:
    """Judge an answer that cannot be used: no JSON, no content, the wrong shape."""
    error = PeerGarbledError(what, code=code, retryable=True, received=received)
    # A model that misuses a tool is no outage.
    return Failure(error=error, verdict="retry", sent=True, ill=not code.startswith("llm.tool."))


def judge_answer(status: int, headers: Headers, body: bytes, *, now: datetime) -> Failure:
    """Judge an answer whose status says that it failed."""
    try:
        parsed: Json = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        parsed = None
    return judge_body(status, as_object(parsed), headers, now=now)


def judge_body(status: int, body: JsonObject, headers: Headers = (), *, now: datetime) -> Failure:
    """Judge an error object, wherever it stood: in the body, in a choice, in a stream.

    Args:
        status: The HTTP status; 200 for an error dressed as success, whose own code then counts.
        body: An object with an `error` member, or an empty one.
        headers: The answer's headers.
        now: The wall time, for Retry-After dates.
    """
    error = as_object(body.get("error")) or ({"message": body["error"]} if isinstance(body.get("error"), str) else {})
    facts = _Facts.read(status, error, headers, now)
    failure = _judge(facts)
    said = find_header(headers, "x-should-retry")
    retryable = facts.retryable if facts.retryable is not None else {"true": True, "false": False}.get(said or "")
    if retryable is True and failure.error.code == "llm.refused.request":
        return attrs.evolve(failure, verdict="retry")
    if retryable is False and failure.verdict == "retry":
        return attrs.evolve(failure, verdict="fall_back")
    return failure


@attrs.frozen(kw_only=True)
class _Facts:
    """What an error object says, made safe."""

    status: int
    kinds: frozenset[str]
    words: str
    hint_s: float | None
    retryable: bool | None
    successors: tuple[str, ...]
    waits_for_credit: bool
    spend_cap: bool

    @classmethod
    def read(cls, status: int, error: JsonObject, headers: Headers, now: datetime) -> "_Facts":
        metadata, details = as_object(error.get("metadata")), as_object(error.get("details"))
        availability = as_object(error.get("availability")) or as_object(metadata.get("availability"))
        code = error.get("code", error.get("http_status"))
        words = as_text(error.get("message")).lower()
        named = (code, error.get("type"), error.get("error_type"), metadata.get("error_type"), availability.get("code"),
                 details.get("error_code"))  # fmt: skip
        kinds = frozenset(kind for kind in named if isinstance(kind, str) and _ID.fullmatch(kind))
        hint = availability.get("retry_after")
        hinted = parse_retry_after(headers, now=now)
        if hinted is None and isinstance(hint, int | float) and not isinstance(hint, bool) and hint >= 0:
            hinted = float(hint)
        retryable = availability.get("retryable")
        return cls(
            status=_read_status(status, code, error.get("http_status"), kinds),
            kinds=kinds,
            words=words,
            hint_s=hinted,
            retryable=retryable if isinstance(retryable, bool) else None,
            successors=tuple(name for name in as_list(availability.get("fallback_models")) if isinstance(name, str) and name),
            waits_for_credit=metadata.get("limit_source") == "openrouter_in_flight_budget",
            spend_cap="enforced_spend_limit_reached" in kinds or any(sign in words for sign in _SPEND),
        )


def _read_status(status: int, code: Json, http_status: Json, kinds: frozenset[str]) -> int:
    if status >= 400:
        return status
    for number in (code, http_status):
        if isinstance(number, int) and not isinstance(number, bool) and 400 <= number <= 599:
            return number
        if isinstance(number, str) and number.isascii() and number.isdigit() and 400 <= int(number[:4]) <= 599:
            return int(number)
    return next((_NUMBERED[kind] for kind in sorted(kinds) if kind in _NUMBERED), 500)


def _judge(facts: _Facts) -> Failure:
    status, kinds = facts.status, facts.kinds
    tail = f" (HTTP {status}{', ' + '/'.join(sorted(kinds)) if kinds else ''})"
    if facts.spend_cap or status == 402:
        if status == 402 and facts.waits_for_credit and facts.hint_s is not None:
            return _unavailable("The provider holds this account's calls back for a moment" + tail, "llm.unavailable.rate_limited", facts)
        return _refused("The account has no credit or has reached its spending limit" + tail, "llm.refused.credit", "stop")
    if any(sign in facts.words or sign in kinds for sign in _CONTEXT):
        return _refused("The conversation is too long for the model" + tail, "llm.refused.context_length", "fall_back")
    if kinds & _MODERATION or (status == 403 and ("moderation" in facts.words or "flagged" in facts.words)):
        return _refused("The provider's moderation refused the request" + tail, "llm.refused.moderation", "fall_back")
    if kinds & _NO_ENDPOINT:
        return _refused("No provider may serve this request" + tail, "llm.refused.endpoints", "fall_back")
    if status in {404, 410} or kinds & _GONE:
        failure = _refused("The model is not served (any more)" + tail, "llm.refused.model", "fall_back")
        return attrs.evolve(failure, gone=True, successors=facts.successors)
    if status == 401:
        return _refused("The provider does not accept the key" + tail, "llm.refused.key", "stop")
    if status == 403:
        return _refused("The key may not do this" + tail, "llm.refused.permission", "stop")
    if status == 422:
        return _refused("The route cannot do what was asked" + tail, "llm.refused.request", "fall_back")
    if status == 429 or (status == 200 and kinds & _RATE):
        return _unavailable("The provider limits the rate" + tail, "llm.unavailable.rate_limited", facts)
    if status >= 500 or status in {408, 409, 425} or kinds & _BUSY:
        return _unavailable("The provider is overloaded or broken" + tail, "llm.unavailable.server", facts, ill=True)
    return _refused("The provider refused the request as malformed" + tail, "llm.refused.request", "stop")


def _refused(message: str, code: str, verdict: Verdict) -> Failure:
    return Failure(error=PeerRefusedError(message + ".", code=code), verdict=verdict)


def _unavailable(message: str, code: str, facts: _Facts, *, ill: bool = False) -> Failure:
    error = PeerUnavailableError(message + ".", code=code, retry_after_s=facts.hint_s)
    return Failure(error=error, verdict="retry", hint_s=facts.hint_s, ill=ill, successors=facts.successors)


def judge_timeout(seconds: float, what: str = "No answer") -> Failure:
    """Judge an attempt that took too long."""
    error = LimitError(f"{what} within {seconds:.3g} s.", code="llm.timeout", retryable=True)
    return Failure(error=error, verdict="retry", timed_out=True, sent=True, ill=True)
