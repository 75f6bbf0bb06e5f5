"""Only the peer that knows our secret can tell us that a job is done."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import DealQuestError, DeniedError, InputError
from dealquest.transcription import WEBHOOK_HEADER, Webhook, WebhookNotice, verify_webhook
from dealquest.values import Secret

SECRET = Secret("a-long-random-webhook-secret")
BODY = msgspec.json.encode({"transcript_id": "5552493-16d8-42d8-8feb-c2a16b56f6e8", "status": "completed"})
HEADERS = (("content-type", "application/json"), (WEBHOOK_HEADER, SECRET.reveal()))


def test_a_true_notice_is_accepted() -> None:
    """Secret and shape are right: the id and the status come out."""
    assert verify_webhook(HEADERS, BODY, secret=SECRET) == WebhookNotice("5552493-16d8-42d8-8feb-c2a16b56f6e8", "completed")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((WEBHOOK_HEADER, ""),),
        ((WEBHOOK_HEADER, SECRET.reveal() + "x"),),
        ((WEBHOOK_HEADER, SECRET.reveal().upper()),),
        ((WEBHOOK_HEADER, "geheim-ü"),),
        ((WEBHOOK_HEADER, "\udcff" * 20),),  # how some servers pass bytes that are no text
        ((WEBHOOK_HEADER, SECRET.reveal()), (WEBHOOK_HEADER, SECRET.reveal())),
        (("authorization", SECRET.reveal()),),
    ],
)
def test_w4_a_false_or_missing_secret_is_denied(headers: tuple[tuple[str, str], ...]) -> None:
    """Absent, wrong, doubled or misplaced: denied, and the secret is not in the message."""
    with pytest.raises(DeniedError) as caught:
        verify_webhook(headers, BODY, secret=SECRET)
    assert caught.value.code == "transcription.webhook_denied"
    assert SECRET.reveal() not in str(caught.value)


def test_w4_an_empty_secret_lets_nobody_in() -> None:
    """A receiver that was set up without a secret denies everything."""
    with pytest.raises(DeniedError):
        verify_webhook(((WEBHOOK_HEADER, ""),), BODY, secret=Secret(""))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"transcript_id": "a"}',
        b'{"transcript_id": "../x", "status": "completed"}',
        b'{"transcript_id": "a", "status": "queued"}',
        BODY[:-1] + b" " * 5000 + b"}",
    ],
)
def test_w4_a_body_that_is_no_notice_is_refused(body: bytes) -> None:
    """Who knows the secret still cannot send anything but a notice."""
    with pytest.raises(InputError) as caught:
        verify_webhook(HEADERS, body, secret=SECRET)
    assert caught.value.code == "transcription.webhook_garbled"


@given(st.lists(st.tuples(st.sampled_from([WEBHOOK_HEADER, "x"]), st.text(max_size=40))), st.binary(max_size=200))
def test_w4_no_call_raises_anything_but_ours(headers: list[tuple[str, str]], body: bytes) -> None:
    """Arbitrary calls are denied, never an exception of another kind."""
    with pytest.raises(DealQuestError):
        verify_webhook(tuple(headers), body, secret=SECRET)


@pytest.mark.parametrize("url", ["http://[", "https://host:0/x", "https://host:99999/x", "ftp://host/x", "https:///x", "https://host/a b"])
def test_an_address_that_is_none_is_refused_when_the_webhook_is_made(url: str) -> None:
    """Whatever is wrong with it, the error is ours."""
    with pytest.raises(InputError) as caught:
        Webhook(url=url, secret=SECRET)
    assert caught.value.code == "transcription.bad_option"
