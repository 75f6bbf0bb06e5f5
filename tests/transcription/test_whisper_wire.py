"""The OpenAI-compatible request and answer, byte for byte."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from email.parser import BytesParser
from email.policy import HTTP
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dealquest.errors import DealQuestError, InputError, LimitError, PeerGarbledError, PeerRefusedError, PeerUnavailableError
from dealquest.testing import FrozenClock, Hang, ScriptedTransport, Step, WhisperServer
from dealquest.transcription import SoundLimits, WhisperTranscriber
from dealquest.transcription.order import SpeechOrder, check_order
from dealquest.transcription.source import open_sound
from dealquest.transcription.whisper_wire import WhisperWire
from dealquest.values import Secret
from dealquest.wire import HttpResponse, find_header

VOICE = (Path(__file__).parents[1] / "samples" / "speech" / "voice.ogg").read_bytes()
KEY = "canary-whisper-key-0123456789"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
WIRE = WhisperWire(base_url="http://127.0.0.1:9/v1", key=Secret(KEY), model="small")

anyio_test = pytest.mark.anyio


def decode(content: Any, wire: WhisperWire = WIRE) -> Any:
    return wire.decode(HttpResponse(status=200, body=msgspec.json.encode(content)), now=NOW)


async def form_of(order: SpeechOrder, wire: WhisperWire = WIRE) -> tuple[dict[str, list[str]], str | None, bytes]:
    sound = await open_sound(VOICE, SoundLimits(), usd_per_hour=Decimal(0))
    async with sound.open(lambda _: None) as body:
        request = wire.encode(order, kind="ogg", size=len(VOICE), boundary="b0undary", timeout_s=5).carry(body)
        assert not isinstance(request.body, bytes)
        sent = b"".join([chunk async for chunk in request.body])
    assert find_header(request.headers, "content-length") == str(len(sent))
    form = BytesParser(policy=HTTP).parsebytes(f"content-type: {find_header(request.headers, 'content-type')}\r\n\r\n".encode() + sent)
    fields: dict[str, list[str]] = {}
    filename, content = None, b""
    for part in form.iter_parts():
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        if part.get_filename():
            filename, content = part.get_filename(), payload
        else:
            fields.setdefault(str(part.get_param("name", header="content-disposition")), []).append(payload.decode())
    return fields, filename, content


@anyio_test
async def test_the_form_carries_the_sound_and_what_was_asked_for() -> None:
    """Another parser reads our form back: model, format, granularities, language, file name and every byte."""
    fields, filename, content = await form_of(check_order(languages=("en-US",)))
    assert fields == {
        "model": ["small"],
        "response_format": ["verbose_json"],
        "timestamp_granularities[]": ["word", "segment"],
        "language": ["en"],
    }
    assert (filename, content) == ("sound.ogg", VOICE)


@anyio_test
async def test_a_plain_server_is_asked_plainly() -> None:
    """Several languages leave the choice to the server; without words the answer is plain."""
    wire = WhisperWire(base_url="http://127.0.0.1:9/v1", key=None, model="small", with_words=False)
    fields, _, _ = await form_of(check_order(languages=("en", "ru")), wire)
    assert fields == {"model": ["small"], "response_format": ["json"]}


def test_answers_of_several_servers_are_read() -> None:
    """Words at the top or inside segments, a language by name or code, cost from the server or from our price."""
    segment = {"start": 0, "end": 2, "avg_logprob": -0.1, "words": [{"word": " Hi", "start": 0, "end": 1, "probability": 0.9}]}
    inside = decode({"text": " Hi ", "language": "russian", "duration": 2.0, "segments": [segment]})
    assert (inside.text, inside.language, inside.words[0].text, inside.words[0].confidence) == ("Hi", "ru", "Hi", 0.9)
    assert inside.confidence == pytest.approx(0.905, abs=0.001)
    assert inside.cost_usd is None
    assert decode({"text": "Hi", "language": "xx"}).language == "xx"
    assert decode({"text": "Hi", "usage": {"cost": 0.0005, "seconds": 9}}).cost_usd == Decimal("0.0005")
    priced = WhisperWire(base_url="http://x", key=None, model="m", usd_per_minute=Decimal("0.006"))
    assert decode({"text": "Hi", "usage": {"seconds": 30}}, priced).cost_usd == Decimal("0.003")


def test_a_phrase_invented_over_silence_is_no_speech() -> None:
    """The model's own doubt is heeded: a polite phrase over silence is dropped, a doubtful part of real speech is not."""
    silent = {"start": 0, "end": 5, "avg_logprob": -1.3, "no_speech_prob": 0.9}
    spoken = {"start": 5, "end": 9, "avg_logprob": -0.2, "no_speech_prob": 0.1}
    assert decode({"text": "Thank you.", "segments": [silent]}).no_speech
    assert not decode({"text": "Thank you. Yes.", "segments": [silent, spoken]}).no_speech


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, PeerRefusedError, "key_refused"),
        (429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, PeerRefusedError, "no_credit"),
        (429, {"error": {"message": "slow down"}}, PeerUnavailableError, "rate_limited"),
        (400, {"detail": f"no such model {KEY}"}, PeerRefusedError, "refused"),
        (404, None, PeerRefusedError, "refused"),
        (500, {"error": "oh"}, PeerUnavailableError, "unavailable"),
    ],
)
def test_refusals_have_the_same_codes_as_the_other_peer(status: int, body: Any, kind: type[DealQuestError], code: str) -> None:
    """A caller need not know which server answered; no message shows the key (G1)."""
    failure = WIRE.decode_failure(HttpResponse(status=status, body=msgspec.json.encode(body)), now=NOW)
    assert type(failure) is kind
    assert failure.code == f"transcription.{code}"
    assert KEY not in str(failure)


def test_an_error_inside_a_200_is_an_error() -> None:
    """An error object where a text was promised is not an empty transcript."""
    with pytest.raises(PeerGarbledError, match="model is loading"):
        decode({"error": {"message": "model is loading"}})


@given(
    st.integers(200, 599),
    st.one_of(
        st.binary(max_size=100),
        st.dictionaries(
            st.sampled_from(["text", "segments", "words", "duration", "error", "detail", "language", "usage"]),
            st.one_of(st.none(), st.text(max_size=9), st.integers(), st.lists(st.none(), max_size=2)),
            max_size=6,
        ).map(msgspec.json.encode),
    ),
)
def test_no_answer_raises_anything_but_ours(status: int, body: bytes) -> None:
    """Whatever arrives is a value or a typed error."""
    try:
        WIRE.decode(HttpResponse(status=status, body=body), now=NOW)
    except DealQuestError as exc:
        assert exc.code.startswith("transcription.")  # noqa: PT017  # not raising is allowed too


@anyio_test
async def test_speakers_are_refused_before_sending() -> None:
    """What this kind of server cannot do is said at once, not left out silently."""
    with WhisperServer() as server:
        async with WhisperTranscriber(server.base_url) as speech:
            with pytest.raises(InputError) as caught:
                await speech.transcribe(VOICE, speaker_labels=True)
    assert caught.value.code == "transcription.bad_option"
    assert server.requests == []


@anyio_test
async def test_a_server_that_hangs_costs_exactly_the_deadline() -> None:
    """In frozen time the deadline is exact, also for sounds whose source itself never comes."""
    clock = FrozenClock()
    speech = WhisperTranscriber("http://127.0.0.1:9/v1", transport=ScriptedTransport(Step(before=(Hang(),)), timer=clock), timer=clock)
    with pytest.raises(LimitError) as caught:
        await speech.transcribe(VOICE, deadline_s=5)
    assert (caught.value.code, clock.monotonic()) == ("transcription.deadline", pytest.approx(5, abs=0.001))

    async def never() -> AsyncIterator[bytes]:
        await clock.sleep(3600)
        yield b""

    with pytest.raises(LimitError):
        await speech.transcribe(never(), deadline_s=5)
    assert clock.monotonic() == pytest.approx(10, abs=0.001)
