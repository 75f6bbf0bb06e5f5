"""What every transcriber promises, kept by both over a real socket on both event loops."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import anyio
import attrs
import pytest

from dealquest.errors import DealQuestError, InputError, LimitError, NotFoundError, PeerRefusedError, SettingsError
from dealquest.testing import AssemblyAIServer, Fault, JobScript, WhisperServer
from dealquest.transcription import AssemblyAITranscriber, Progress, SoundLimits, Transcriber, WhisperTranscriber
from dealquest.values import Secret
from dealquest.wire import HttpxTransport, RetryPolicy, Transport

VOICE_PATH = Path(__file__).parents[1] / "samples" / "speech" / "voice.ogg"
VOICE = VOICE_PATH.read_bytes()
QUICK = RetryPolicy(waits_s=(0.05,), least_attempt_s=0.1)
CANARY_KEY = "canary-speech-key-0123456789"

pytestmark = pytest.mark.anyio


@attrs.define
class Pair:
    """A transcriber's maker and the peer it speaks to."""

    server: AssemblyAIServer | WhisperServer
    route: str
    make: Callable[..., Transcriber]
    environ: dict[str, str]


@pytest.fixture(params=["assemblyai", "whisper"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    if request.param == "assemblyai":
        with AssemblyAIServer(key=CANARY_KEY) as server:
            environ = {"ASSEMBLYAI_API_KEY": CANARY_KEY, "ASSEMBLYAI_BASE_URL": server.base_url}
            yield Pair(
                server,
                "upload",
                lambda key=CANARY_KEY, **options: AssemblyAITranscriber(Secret(key), base_url=server.base_url, retry=QUICK, **options),
                environ,
            )
            assert server.violations == []
    else:
        with WhisperServer(key=CANARY_KEY) as server_:
            environ = {"WHISPER_BASE_URL": server_.base_url, "WHISPER_API_KEY": CANARY_KEY}
            yield Pair(
                server_,
                "transcribe",
                lambda key=CANARY_KEY, **options: WhisperTranscriber(server_.base_url, key=Secret(key), retry=QUICK, **options),
                environ,
            )
            assert server_.violations == []


async def stream_voice() -> AsyncIterator[bytes]:
    for at in range(0, len(VOICE), 777):
        yield VOICE[at : at + 777]


async def until(condition: Callable[[], object]) -> None:
    """Wait for what a server in another thread will see."""
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110  # an event of this loop cannot be set from there
            await anyio.sleep(0.01)


async def test_the_words_of_the_issue_work_as_written(pair: Pair) -> None:
    """`Transcriber.from_env()` and one call, and every promised field is there."""
    async with Transcriber.from_env(pair.environ) as speech:
        transcript = await speech.transcribe(VOICE_PATH, languages=("en", "ru"))
    assert transcript.text == "We could start next week."
    assert (transcript.language, transcript.no_speech, transcript.duration_s) == ("en", False, 3)
    assert transcript.confidence is not None
    assert 0.5 < transcript.confidence <= 1
    assert [word.text for word in transcript.words] == ["We", "could", "start", "next", "week."]
    assert transcript.words[1].start_s == pytest.approx(0.6)
    assert transcript.model


@pytest.mark.parametrize("kind", ["path", "bytes", "chunks", "function"])
async def test_every_byte_of_a_real_voice_note_arrives(pair: Pair, kind: str) -> None:
    """A recorded Ogg/Opus file crosses the wire unchanged from every kind of source."""
    source = {"path": VOICE_PATH, "bytes": VOICE, "chunks": stream_voice(), "function": stream_voice}[kind]
    async with pair.make() as speech:
        await speech.transcribe(source)
    [sound] = pair.server.sounds
    assert sound.sha256 == hashlib.sha256(VOICE).hexdigest()
    assert sound.is_chunked == (kind in {"chunks", "function"})


async def test_silence_is_a_result_not_a_failure(pair: Pair) -> None:
    """Nobody spoke: a transcript says so, without invented words."""
    pair.server.script = JobScript(text="")
    async with pair.make() as speech:
        for languages in ((), ("en", "ru"), ("ru",)):
            transcript = await speech.transcribe(VOICE, languages=languages)
            assert (transcript.no_speech, transcript.text, transcript.words) == (True, "", ())


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503),
        Fault(status=429, headers=(("retry-after", "0"),)),
        Fault(status=500),
        Fault(kind="reset"),
        Fault(kind="reset", after_bytes=2000),
        Fault(kind="cut"),
    ],
    ids=["503", "429", "500", "reset", "reset-midway", "cut"],
)
async def test_u3_sending_survives_a_transient_fault(pair: Pair, fault: Fault) -> None:
    """A fault while the sound is sent is repeated from a source that can be opened again."""
    pair.server.fail(pair.route, fault)
    async with pair.make() as speech:
        transcript = await speech.transcribe(VOICE_PATH, deadline_s=10)
    assert transcript.text
    assert pair.server.sounds[-1].sha256 == hashlib.sha256(VOICE).hexdigest()


async def test_u3_chunks_that_are_gone_are_not_sent_again(pair: Pair) -> None:
    """A source that can be read once gets one attempt and an honest error."""
    pair.server.fail(pair.route, Fault(status=503))
    async with pair.make() as speech:
        with pytest.raises(DealQuestError) as caught:
            await speech.transcribe(stream_voice(), deadline_s=10)
    assert caught.value.code == "transcription.unavailable"
    assert len(pair.server.requests) == 1


async def test_a_wrong_key_is_refused_once_and_never_shown(pair: Pair) -> None:
    """A bad key is no transient fault, and no error repeats it."""
    async with pair.make(key="canary-wrong-key-9876543210") as speech:
        with pytest.raises(PeerRefusedError) as caught:
            await speech.transcribe(VOICE)
    assert caught.value.code == "transcription.key_refused"
    assert len(pair.server.requests) == 1
    assert "canary" not in repr(caught.value) + str(caught.value)


async def test_an_unknown_id_cannot_be_resumed(pair: Pair) -> None:
    """Resuming what the peer does not know is `not found`, whatever the peer."""
    async with pair.make() as speech:
        with pytest.raises(NotFoundError) as caught:
            await speech.resume("job-00000000", deadline_s=5)
        assert caught.value.code == "transcription.unknown_id"
        with pytest.raises(InputError):
            await speech.resume("../v2/account")


async def test_progress_is_told_from_the_first_byte_to_the_end(pair: Pair) -> None:
    """A progress bar has what it needs: bytes, size and stage."""
    heard: list[Progress] = []
    async with pair.make() as speech:
        await speech.transcribe(VOICE_PATH, on_progress=heard.append)
    assert (heard[0].stage, heard[0].total_bytes) == ("uploading", len(VOICE))
    assert (heard[-1].stage, heard[-1].sent_bytes) == ("done", len(VOICE))


async def test_b6_what_may_not_be_sent_never_reaches_the_peer(pair: Pair) -> None:
    """Wrong type, size, duration or option: the peer hears nothing."""
    async with pair.make(limits=SoundLimits(max_bytes=10_000, max_duration_s=6)) as speech:
        for source, options in (
            (b"PK\x03\x04" + bytes(100), {}),
            (VOICE + bytes(2000), {}),
            (VOICE, {"duration_s": 7.0}),
            (VOICE, {"languages": ("not a code",)}),
            (VOICE, {"deadline_s": 0.0}),
            (VOICE, {"deadline_s": float("nan")}),
        ):
            with pytest.raises(InputError):
                await speech.transcribe(source, **options)
    assert pair.server.requests == []


async def test_b6_a_stream_without_a_size_is_stopped_at_the_limit(pair: Pair) -> None:
    """The limit holds while sending: the upload breaks off, nothing is stored, and our own reason is the error."""
    async with pair.make(limits=SoundLimits(max_bytes=5000)) as speech:
        with pytest.raises(InputError) as caught:
            await speech.transcribe(stream_voice)
    assert caught.value.code == "transcription.too_large"
    assert pair.server.sounds == []


async def test_cancelling_closes_the_connection(pair: Pair) -> None:
    """A caller who leaves does not leave a request behind."""
    pair.server.fail(pair.route, Fault(kind="hang"))
    async with pair.make() as speech:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(speech.transcribe, VOICE)
            await until(lambda: pair.server.requests)
            await anyio.sleep(0.05)
            tasks.cancel_scope.cancel()
        await until(lambda: pair.server.clients_gone)


async def test_the_deadline_ends_a_peer_that_hangs(pair: Pair) -> None:
    """A call ends with its deadline, not with its peer, and the answer is typed."""
    pair.server.fail(pair.route, Fault(kind="hang"))
    async with pair.make() as speech:
        began = anyio.current_time()
        with pytest.raises(LimitError) as caught:
            await speech.transcribe(VOICE, deadline_s=0.4)
    assert caught.value.code == "transcription.deadline"
    # The benchmark and the frozen clock hold the bar of 0.1 s; a busy machine must not fail this.
    assert 0.39 <= anyio.current_time() - began < 3


async def test_one_transcriber_serves_many_calls_at_once(pair: Pair) -> None:
    """Twenty voice notes at a time are twenty transcripts."""
    texts: list[str] = []
    async with pair.make() as speech:

        async def one() -> None:
            texts.append((await speech.transcribe(VOICE)).text)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(one)
    assert texts == ["We could start next week."] * 20


async def test_a_transport_that_was_handed_in_stays_open(pair: Pair) -> None:
    """Whoever opened the transport closes it."""
    async with HttpxTransport() as transport:
        handed: Transport = transport
        for _ in range(2):
            async with pair.make(transport=handed) as speech:
                assert (await speech.transcribe(VOICE)).text


async def test_without_settings_speech_is_off() -> None:
    """An environment that names no peer says which variable would."""
    for opener in (Transcriber, AssemblyAITranscriber, WhisperTranscriber):
        with pytest.raises(SettingsError) as caught:
            opener.from_env({})
        assert caught.value.code == "transcription.not_configured"


async def test_a_server_of_ones_own_goes_first() -> None:
    """Sound that can stay at home does."""
    environ = {"ASSEMBLYAI_API_KEY": CANARY_KEY, "WHISPER_BASE_URL": "http://127.0.0.1:9/v1", "WHISPER_MODEL": "small"}
    assert isinstance(Transcriber.from_env(environ), WhisperTranscriber)
