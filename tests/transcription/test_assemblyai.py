"""AssemblyAI over a real socket: jobs that go wrong, go on, and are told by a webhook."""

import hashlib
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from dealquest.errors import DealQuestError, InputError, LimitError, PeerRefusedError, PeerUnavailableError, UnknownOutcomeError
from dealquest.testing import (
    Arrival,
    AssemblyAIServer,
    Fault,
    FrozenClock,
    Hang,
    JobScript,
    LoopbackServer,
    Reply,
    ScriptedTransport,
    Step,
    answer_json,
)
from dealquest.transcription import AssemblyAITranscriber, Progress, Webhook, verify_webhook
from dealquest.values import Secret
from dealquest.wire import RetryPolicy

VOICE = (Path(__file__).parents[1] / "samples" / "speech" / "voice.ogg").read_bytes()
QUICK = RetryPolicy(waits_s=(0.05,), least_attempt_s=0.1)

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[AssemblyAIServer]:
    with AssemblyAIServer() as server:
        yield server
        assert server.violations == []


def open_speech(server: AssemblyAIServer) -> AssemblyAITranscriber:
    return AssemblyAITranscriber(Secret(server.key), base_url=server.base_url, retry=QUICK)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what a server in another thread will see."""
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110  # an event of this loop cannot be set from there
            await anyio.sleep(0.01)


async def test_five_of_five_transient_faults_are_survived_in_one_call(server: AssemblyAIServer) -> None:
    """Upload 503, 429 and reset, then one poll 500 and one poll 429: the transcript still comes, from one job."""
    server.fail("upload", Fault(status=503), Fault(kind="reset", after_bytes=1000))
    server.fail("create", Fault(status=429, headers=(("retry-after", "0"),)))
    server.fail("poll", Fault(status=500), Fault(status=429))
    async with open_speech(server) as speech:
        transcript = await speech.transcribe(VOICE, languages=("en", "ru"))
    assert transcript.text == "We could start next week."
    assert len(server.jobs) == 1


@pytest.mark.parametrize("fault", [Fault(kind="reset"), Fault(kind="cut")], ids=["reset", "cut"])
async def test_n2_a_look_that_fails_below_http_is_looked_again(server: AssemblyAIServer, fault: Fault) -> None:
    """A reset or an answer that breaks off does not cost the job."""
    server.fail("poll", fault)
    async with open_speech(server) as speech:
        assert (await speech.transcribe(VOICE)).text


async def test_a_negative_balance_is_no_credit(server: AssemblyAIServer) -> None:
    """The peer's 400 for an empty account is not blamed on the request, and not repeated."""
    server.balance_usd = -0.01
    async with open_speech(server) as speech:
        with pytest.raises(PeerRefusedError) as caught:
            await speech.transcribe(VOICE)
    assert caught.value.code == "transcription.no_credit"
    assert server.requests.count("POST /v2/transcript") == 1


async def test_a_failed_job_inside_a_200_carries_its_id(server: AssemblyAIServer) -> None:
    """Status 200 with `error` is an error, and says which job."""
    server.script = JobScript(error="Transcoding failed. File does not appear to contain audio.")
    async with open_speech(server) as speech:
        with pytest.raises(PeerRefusedError) as caught:
            await speech.transcribe(VOICE)
    assert (caught.value.code, caught.value.reference) == ("transcription.job_failed", next(iter(server.jobs)))
    server.script = JobScript(error="Server error, developers have been alerted.")
    async with open_speech(server) as speech:
        with pytest.raises(PeerUnavailableError) as lost:
            await speech.transcribe(VOICE)
    assert (lost.value.code, lost.value.retryable) == ("transcription.job_lost", True)


async def test_what_the_deadline_interrupts_another_client_resumes(server: AssemblyAIServer) -> None:
    """The id in the error is all another process needs; the sound is not sent again and no second job is begun."""
    server.script = JobScript(processing_s=1.4)
    async with open_speech(server) as speech:
        with pytest.raises(LimitError) as caught:
            await speech.transcribe(VOICE, deadline_s=1.0)
    assert caught.value.reference is not None
    async with open_speech(server) as other:
        transcript = await other.resume(caught.value.reference)
    assert transcript.text == "We could start next week."
    assert (len(server.sounds), len(server.jobs)) == (1, 1)


async def test_a_job_that_waits_for_its_turn_is_told_apart(server: AssemblyAIServer) -> None:
    """At the concurrency limit the error says queued, and progress said so before."""
    server.script = JobScript(queued_s=30)
    heard: list[Progress] = []
    async with open_speech(server) as speech:
        with pytest.raises(LimitError) as caught:
            await speech.transcribe(VOICE, deadline_s=1.2, on_progress=heard.append)
    assert caught.value.code == "transcription.queued"
    assert heard[-1].stage == "queued"


async def test_cancelling_while_waiting_leaves_a_resumable_id(server: AssemblyAIServer) -> None:
    """Progress handed out the id before the caller left, and it still works; the open request is closed."""
    server.script = JobScript(processing_s=0.3)
    server.fail("poll", Fault(kind="hang"))
    heard: list[Progress] = []
    async with open_speech(server) as speech:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: speech.transcribe(VOICE, on_progress=heard.append))
            await until(lambda: any(request.startswith("GET") for request in server.requests))
            tasks.cancel_scope.cancel()
        await until(lambda: server.clients_gone)
        assert heard[-1].transcript_id is not None
        assert (await speech.resume(heard[-1].transcript_id)).text


async def test_a2_a_cancellation_at_any_moment_leaves_nothing_open(server: AssemblyAIServer) -> None:
    """Cancelled after any number of steps, the client is usable and the next call succeeds."""
    server.script = JobScript(processing_s=0.05)
    async with open_speech(server) as speech:
        for delay_ms in range(0, 60, 6):
            with anyio.move_on_after(delay_ms / 1000):
                await speech.transcribe(VOICE)
        assert (await speech.transcribe(VOICE)).text


async def test_a_lost_answer_to_the_create_is_a_doubt(server: AssemblyAIServer) -> None:
    """A connection that breaks after the create is never answered by a second, billed job."""
    server.fail("create", Fault(kind="cut"))
    async with open_speech(server) as speech:
        with pytest.raises(UnknownOutcomeError) as caught:
            await speech.transcribe(VOICE)
    assert caught.value.code == "transcription.create_unknown"
    assert len(server.jobs) == 1


async def test_speakers_are_labelled_when_asked_for(server: AssemblyAIServer) -> None:
    """Words say who spoke, and the price says what that costs."""
    server.script = JobScript(speakers=("A", "B"))
    async with open_speech(server) as speech:
        transcript = await speech.transcribe(VOICE, speaker_labels=True, speakers_expected=2)
    assert [word.speaker for word in transcript.words] == ["A", "B", "A", "B", "A"]
    assert transcript.cost_usd == (Decimal("0.23") * 3 / 3600).quantize(Decimal("0.000001"))


class WebhookReceiver(LoopbackServer):
    """Our own side of a webhook, as a web framework would hand it over; the first call is refused to see it come again."""

    def __init__(self, secret: Secret) -> None:
        super().__init__()
        self.secret = secret
        self.notices: list[str] = []
        self.arrived = threading.Event()

    def answer(self, arrival: Arrival) -> Reply:
        body = b"".join(arrival.chunks())
        notice = verify_webhook(arrival.headers, body, secret=self.secret)
        self.notices.append(notice.transcript_id)
        if len(self.notices) == 1:
            return Reply(status=503)
        self.arrived.set()
        return Reply(status=204)


async def test_a_webhook_replaces_polling(server: AssemblyAIServer) -> None:
    """Submitted with a callback, the peer tells us when it is ready, verified by our secret, and the id fetches the text."""
    server.script = JobScript(processing_s=0.2)
    secret = Secret("a-long-random-webhook-secret")
    with WebhookReceiver(secret) as receiver:
        async with open_speech(server) as speech:
            transcript_id = await speech.submit(VOICE, languages=("en",), webhook=Webhook(url=f"{receiver.base_url}/hook", secret=secret))
            assert not [request for request in server.requests if request.startswith("GET")]
            assert await anyio.to_thread.run_sync(receiver.arrived.wait, 5)
            assert receiver.notices == [transcript_id, transcript_id]
            assert (await speech.resume(transcript_id)).text == "We could start next week."
        assert server.jobs[transcript_id].looks == 1


async def test_a_large_upload_is_streamed(server: AssemblyAIServer) -> None:
    """Thirty-two megabytes pass through without being held: the peak stays at a few chunks."""
    size = 32 * 1024 * 1024

    async def generate() -> AsyncIterator[bytes]:
        yield VOICE
        piece = bytes(64 * 1024)
        for _ in range(size // len(piece)):
            yield piece

    async with open_speech(server) as speech:
        await speech.transcribe(VOICE)
        tracemalloc.start()
        try:
            await speech.transcribe(generate(), deadline_s=60)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 8 * 1024 * 1024
    digest = hashlib.sha256(VOICE + bytes(size)).hexdigest()
    assert server.sounds[-1].sha256 == digest


async def test_the_deadline_is_exact() -> None:
    """In frozen time a hanging peer costs exactly the deadline, and a job in work is named in the error."""
    clock = FrozenClock()
    transport = ScriptedTransport(
        answer_json({"upload_url": "https://cdn.example/x"}),
        answer_json({"id": "job-1", "status": "queued"}),
        answer_json({"id": "job-1", "status": "processing"}),
        Step(before=(Hang(),)),
        timer=clock,
        repeat=True,
    )
    speech = AssemblyAITranscriber(Secret("k" * 20), transport=transport, timer=clock)
    with pytest.raises(LimitError) as caught:
        await speech.transcribe(VOICE)
    assert clock.monotonic() == pytest.approx(60.0, abs=0.001)
    assert (caught.value.code, caught.value.reference) == ("transcription.deadline", "job-1")
    assert transport.open == 0


async def test_an_upload_that_hangs_ends_at_the_deadline() -> None:
    """Before there is a job, the deadline says that nothing was billed."""
    clock = FrozenClock()
    speech = AssemblyAITranscriber(
        Secret("k" * 20), transport=ScriptedTransport(Step(before=(Hang(),)), timer=clock, repeat=True), timer=clock
    )
    with pytest.raises(DealQuestError) as caught:
        await speech.transcribe(VOICE, deadline_s=7)
    assert clock.monotonic() == pytest.approx(7.0, abs=0.001)
    assert caught.value.code == "transcription.deadline"


async def test_submitting_has_a_deadline_too() -> None:
    """Handing a sound over ends in time, and a client without a model is never made."""
    clock = FrozenClock()
    transport = ScriptedTransport(answer_json({"upload_url": "https://cdn.example/x"}), Step(before=(Hang(),)), timer=clock)
    with pytest.raises(UnknownOutcomeError):
        await AssemblyAITranscriber(Secret("k" * 20), transport=transport, timer=clock).submit(VOICE, deadline_s=5)
    assert clock.monotonic() == pytest.approx(5, abs=0.001)
    with pytest.raises(InputError):
        AssemblyAITranscriber(Secret("k" * 20), speech_models=())


async def test_a_source_that_breaks_is_not_sent_again(server: AssemblyAIServer) -> None:
    """The error names the source and what broke it; the service is not asked again and again for it."""
    opened = 0

    async def broken() -> AsyncIterator[bytes]:
        nonlocal opened
        opened += 1
        yield VOICE
        raise TimeoutError

    async with open_speech(server) as speech:
        with pytest.raises(InputError) as caught:
            await speech.transcribe(broken)
    assert caught.value.code == "transcription.unreadable"
    assert "TimeoutError" in caught.value.message
    assert opened == 1
