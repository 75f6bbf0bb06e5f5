"""The peer's notice that a job is done: who sent it, and which job it means.

The notice carries an id and a status and no text, so a replayed one can only make us look again.
Source: AssemblyAI "Webhooks for pre-recorded audio", read 2026-11-22.
"""

import hmac
from typing import Literal, TypeAlias

import attrs
import msgspec

from dealquest.errors import DeniedError, InputError
from dealquest.values import Secret
from dealquest.wire import Headers

from .assemblyai_wire import check_transcript_id
from .order import WEBHOOK_HEADER
from .reading import read_json

MAX_NOTICE_BYTES = 4096

NoticeStatus: TypeAlias = Literal["completed", "error"]


@attrs.frozen
class WebhookNotice:
    """A job has ended; `resume` its id to get the transcript, or the error."""

    transcript_id: str
    status: NoticeStatus


class _Notice(msgspec.Struct):
    transcript_id: str
    status: NoticeStatus


def verify_webhook(headers: Headers, body: bytes, *, secret: Secret, header: str = WEBHOOK_HEADER) -> WebhookNotice:
    """Check a call to our webhook. Answer it with any 2xx within 10 s; 4xx ends the peer's repeats.

    Args:
        headers: As received, names in lower case.
        body: As received.
        secret: The one the job was submitted with.
        header: The header that carries it.

    Raises:
        DeniedError: `transcription.webhook_denied` when the secret is missing, wrong or given twice.
        InputError: `transcription.webhook_garbled` when the body is no notice.

    >>> verify_webhook(
    ...     (("x-dealquest-webhook", "a-long-random-secret"),),
    ...     b'{"transcript_id": "5552493-16d8", "status": "completed"}',
    ...     secret=Secret("a-long-random-secret"),
    ... )
    WebhookNotice(transcript_id='5552493-16d8', status='completed')
    """
    given = [value for name, value in headers if name == header]
    expected = secret.reveal()
    if not expected or len(given) != 1 or not hmac.compare_digest(given[0].encode("utf-8", "surrogatepass"), expected.encode()):
        raise DeniedError("The webhook call does not carry our secret.", code="transcription.webhook_denied")
    try:
        # A longer body is no notice; cut short it is no JSON either.
        notice = read_json(body[:MAX_NOTICE_BYTES], _Notice)
        return WebhookNotice(check_transcript_id(notice.transcript_id), notice.status)
    except (ValueError, InputError) as exc:
        raise InputError("The webhook call carries no notice of a transcript.", code="transcription.webhook_garbled") from exc
