"""AssemblyAI's requests and answers, byte for byte."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import (
    DealQuestError,
    InputError,
    NotFoundError,
    PeerGarbledError,
    PeerRefusedError,
    PeerUnavailableError,
)
from dealquest.transcription import Webhook
from dealquest.transcription.assemblyai_wire import AssemblyAIWire, check_transcript_id
from dealquest.transcription.order import SpeechOrder, check_order
from dealquest.values import Secret
from dealquest.wire import HttpRequest, HttpResponse

KEY = "canary-speech-key-0123456789"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WIRE = AssemblyAIWire(base_url="https://api.example", key=Secret(KEY))


def answer(content: Any, status: int = 200, **headers: str) -> HttpResponse:
    body = content if isinstance(content, bytes) else msgspec.json.encode(content)
    return HttpResponse(status=status, body=body, headers=tuple((name.replace("_", "-"), value) for name, value in headers.items()))


def created(order: SpeechOrder) -> dict[str, Any]:
    request = WIRE.encode_create("https://cdn.example/x", order, timeout_s=5)
    assert isinstance(request.body, bytes)
    found = msgspec.json.decode(request.body)
    assert isinstance(found, dict)
    return found


def job(**fields: Any) -> dict[str, Any]:
    return {"id": "job-1", "status": "completed", "text": "Hello.", "words": [], "audio_duration": 10, **fields}


def test_every_request_carries_the_key_and_hides_it() -> None:
    """The raw key is the authorization, as the API wants it, and no repr shows it."""
    requests: list[HttpRequest] = [
        WIRE.encode_upload(size=12, timeout_s=5),
        WIRE.encode_create("https://cdn.example/x", SpeechOrder(), timeout_s=5),
        WIRE.encode_poll("job-1", timeout_s=5),
    ]
    assert [request.url for request in requests] == [
        f"https://api.example/v2/{path}" for path in ("upload", "transcript", "transcript/job-1")
    ]
    assert all(("authorization", KEY) in request.headers for request in requests)
    assert KEY not in repr(requests) + repr(WIRE)
    assert ("content-length", "12") in requests[0].headers


def test_speech_models_are_always_sent() -> None:
    """The API has no default model and refuses a request without the list."""
    assert created(SpeechOrder())["speech_models"] == ["universal-3-pro", "universal-2"]


def test_languages_become_detection_or_a_fixed_code() -> None:
    """Several are expected with a fallback, one is fixed, none is detected among all."""
    assert created(check_order(languages=("en", "ru"))) == {
        "audio_url": "https://cdn.example/x",
        "speech_models": ["universal-3-pro", "universal-2"],
        "language_detection": True,
        "language_detection_options": {"expected_languages": ["en", "ru"], "fallback_language": "en"},
    }
    assert created(check_order(languages=("en", "ru"), fallback_language="ru"))["language_detection_options"]["fallback_language"] == "ru"
    fixed = created(check_order(languages=("ru",)))
    assert (fixed["language_code"], "language_detection" in fixed) == ("ru", False)
    open_order = created(SpeechOrder())
    assert (open_order["language_detection"], "language_detection_options" in open_order) == (True, False)


def test_speakers_and_webhook_are_sent_when_asked_for() -> None:
    """Optional fields appear only when they were asked for."""
    webhook = Webhook(url="https://us.example/hook", secret=Secret("0123456789abcdef"))
    body = created(check_order(languages=("en",), speaker_labels=True, speakers_expected=2, webhook=webhook))
    assert body["speaker_labels"] is True
    assert body["speakers_expected"] == 2
    assert body["webhook_url"] == "https://us.example/hook"
    assert body["webhook_auth_header_name"] == "x-dealquest-webhook"
    assert body["webhook_auth_header_value"] == "0123456789abcdef"
    assert "0123456789abcdef" not in repr(webhook)


@pytest.mark.parametrize(
    "wrong",
    [
        {"languages": "en"},
        {"languages": ("english",)},
        {"languages": ("en\r\nx: y",)},
        {"languages": ("en",), "fallback_language": "ru"},
        {"speakers_expected": 2},
        {"speaker_labels": True, "speakers_expected": 0},
        {"languages": tuple(f"a{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(101))},
    ],
)
def test_impossible_orders_are_refused(wrong: dict[str, Any]) -> None:
    """A wrong option is named before anything is sent."""
    with pytest.raises(InputError) as caught:
        check_order(**wrong)
    assert caught.value.code == "transcription.bad_option"


@pytest.mark.parametrize(
    ("url", "secret", "header"),
    [
        ("ftp://us.example", "0123456789abcdef", "x-hook"),
        ("https://us.example/a b", "0123456789abcdef", "x-hook"),
        ("https://us.example", "short", "x-hook"),
        ("https://us.example", "0123456789abcdef\r\nx: y", "x-hook"),
        ("https://us.example", "0123456789abcdef", "X Hook"),
    ],
)
def test_g3_a_webhook_cannot_smuggle_headers(url: str, secret: str, header: str) -> None:
    """Address, secret and header name are checked for what they are."""
    with pytest.raises(InputError):
        Webhook(url=url, secret=Secret(secret), header=header)


def test_a_finished_job_becomes_a_transcript() -> None:
    """Text, language, confidences, words in seconds, duration, price and model, as the answer gives them."""
    words = [{"text": "Hello.", "start": 250, "end": 650, "confidence": 0.9, "speaker": "A"}]
    state = WIRE.decode_job(
        answer(
            job(
                words=words,
                confidence=0.95,
                language_code="en",
                language_confidence=0.8,
                speech_model_used="universal-2",
                audio_duration=3600,
                speaker_labels=True,
                unknown_field={"ignored": True},
            )
        ),
        now=NOW,
        asked_id="job-1",
    )
    assert state.transcript is not None
    found = state.transcript
    assert (found.text, found.id, found.language, found.language_confidence, found.confidence) == ("Hello.", "job-1", "en", 0.8, 0.95)
    assert (found.words[0].start_s, found.words[0].end_s, found.words[0].speaker) == (0.25, 0.65, "A")
    assert (found.duration_s, found.model) == (3600, "universal-2")
    assert found.cost_usd == Decimal("0.17")
    assert not found.no_speech


def test_an_unknown_price_is_not_guessed() -> None:
    """A model without a list price costs an unknown amount, not nothing."""
    state = WIRE.decode_job(answer(job(speech_model_used="universal-9")), now=NOW)
    assert state.transcript is not None
    assert state.transcript.cost_usd is None


@pytest.mark.parametrize(
    ("fields", "cost"),
    [
        ({"text": "", "speech_model_used": "universal-2"}, Decimal("0.000417")),
        ({"text": None, "speech_model_used": "universal-2"}, Decimal("0.000417")),
        ({"text": "  \n", "speech_model_used": "universal-2"}, Decimal("0.000417")),
        ({"status": "error", "error": "language_detection cannot be performed on files with no spoken audio."}, Decimal(0)),
        ({"status": "error", "error": "Audio speech threshold 0.1 is below the requested speech threshold value 0.5"}, Decimal(0)),
    ],
)
def test_silence_is_a_result(fields: dict[str, Any], cost: Decimal) -> None:
    """Nobody spoke: no failure, whether the peer calls it an empty text or an error of its language detection."""
    state = WIRE.decode_job(answer(job(**fields)), now=NOW)
    assert state.transcript is not None
    assert (state.transcript.no_speech, state.transcript.text, state.transcript.words) == (True, "", ())
    assert state.transcript.cost_usd == cost


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("Audio duration is too short.", InputError, "too_short"),
        ("Transcoding failed. File does not appear to contain audio.", PeerRefusedError, "job_failed"),
        ("Server error, developers have been alerted.", PeerUnavailableError, "job_lost"),
        (None, PeerRefusedError, "job_failed"),
    ],
)
def test_an_error_inside_a_200_is_an_error(text: str | None, kind: type[DealQuestError], code: str) -> None:
    """A failed job is told apart by what it says, and only the peer's own fault is worth a second job."""
    with pytest.raises(kind) as caught:
        WIRE.decode_job(answer(job(status="error", error=text)), now=NOW, asked_id="job-1")
    assert caught.value.code == f"transcription.{code}"
    assert caught.value.retryable == (code == "job_lost")


@pytest.mark.parametrize(
    ("status", "said", "asked_id", "kind", "code"),
    [
        (400, "Your current account balance is negative. Please top up.", None, PeerRefusedError, "no_credit"),
        (402, "", None, PeerRefusedError, "no_credit"),
        (400, "Transcript lookup error, transcript id not found", "job-1", NotFoundError, "unknown_id"),
        (404, "Not found", "job-1", NotFoundError, "unknown_id"),
        (404, "Not found", None, PeerRefusedError, "refused"),
        (400, '"speech_models" must be a non-empty list', None, PeerRefusedError, "refused"),
        (401, "Authentication error", None, PeerRefusedError, "key_refused"),
        (403, "", None, PeerRefusedError, "key_refused"),
        (429, "Too many", None, PeerUnavailableError, "rate_limited"),
        (500, "Server error", None, PeerUnavailableError, "unavailable"),
        (503, "", None, PeerUnavailableError, "unavailable"),
        (504, "", None, PeerUnavailableError, "unavailable"),
        (302, "", None, PeerRefusedError, "refused"),
    ],
)
def test_each_refusal_has_its_own_class(status: int, said: str, asked_id: str | None, kind: type[DealQuestError], code: str) -> None:
    """No credit, wrong key, unknown id, bad request, too fast and broken are six different answers."""
    failure = WIRE.decode_failure(answer({"error": said}, status), now=NOW, asked_id=asked_id)
    assert type(failure) is kind
    assert failure.code == f"transcription.{code}"


def test_retry_after_is_passed_on() -> None:
    """What the peer asks to wait is in the error."""
    assert WIRE.decode_failure(answer({}, 429, retry_after="7"), now=NOW).retry_after_s == 7


def test_g1_an_answer_that_echoes_the_key_is_not_quoted_whole() -> None:
    """Neither our key nor the sound's address gets into a message, nor line breaks, nor a novel."""
    said = f"bad\r\nkey {KEY} at https://cdn.example/private?token=1 " + "x" * 1000
    message = str(WIRE.decode_failure(answer({"error": said}, 400), now=NOW))
    assert KEY not in message
    assert "cdn.example" not in message
    assert "\n" not in message
    assert len(message) < 300


def test_an_answer_about_another_job_is_garbled() -> None:
    """A swapped transcript is never handed to the wrong user."""
    with pytest.raises(PeerGarbledError) as caught:
        WIRE.decode_job(answer(job(id="job-2")), now=NOW, asked_id="job-1")
    assert caught.value.code == "transcription.garbled"


@pytest.mark.parametrize("upload_url", ["", "file:///etc/passwd", "javascript:1", "https://a b", "https://" + "a" * 5000])
def test_an_upload_address_is_checked(upload_url: str) -> None:
    """What the peer calls an address must be one."""
    with pytest.raises(PeerGarbledError):
        WIRE.decode_upload(answer({"upload_url": upload_url}), now=NOW)


@pytest.mark.parametrize("transcript_id", ["", "../admin", "a/b", "a?b", "a" * 101, "ü", "-a", "a\n"])
def test_an_id_never_becomes_a_path(transcript_id: str) -> None:
    """Ids from users and peers are checked before they are put into an address."""
    with pytest.raises(InputError) as caught:
        check_transcript_id(transcript_id)
    assert caught.value.code == "transcription.bad_id"
    with pytest.raises(PeerGarbledError):
        WIRE.decode_job(answer(job(id=transcript_id)), now=NOW)


@given(
    st.integers(200, 599),
    st.one_of(
        st.binary(max_size=200),
        st.dictionaries(
            st.sampled_from(["id", "status", "text", "words", "error", "audio_duration", "upload_url", "confidence"]),
            st.one_of(st.none(), st.text(max_size=30), st.integers(), st.floats(), st.lists(st.none(), max_size=3), st.just(KEY)),
            max_size=8,
        ).map(msgspec.json.encode),
    ),
)
def test_no_answer_raises_anything_but_ours(status: int, body: bytes) -> None:
    """Whatever arrives is a value or a typed error without the key."""
    for decode in (WIRE.decode_upload, WIRE.decode_job):
        try:
            decode(HttpResponse(status=status, body=body), now=NOW)
        except DealQuestError as exc:
            assert exc.code.startswith("transcription.")  # noqa: PT017  # not raising is allowed too
            assert KEY not in str(exc)  # noqa: PT017  # as above
