"""Each call leaves one span that says what it cost and which job it was, and nothing that opens the sound."""

from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from dealquest.errors import PeerRefusedError
from dealquest.testing import AssemblyAIServer, JobScript, WhisperServer
from dealquest.testing.traces import capture_traces
from dealquest.tracing import names
from dealquest.transcription import AssemblyAITranscriber, WhisperTranscriber
from dealquest.values import Secret

VOICE = (Path(__file__).parents[1] / "samples" / "speech" / "voice.ogg").read_bytes()
KEY = "canary-speech-key-0123456789"

pytestmark = pytest.mark.anyio


async def test_a_transcription_is_a_model_call_in_the_trace() -> None:
    """Model, provider, id, length and price are attributes under the names that every model call uses."""
    with capture_traces() as traces, AssemblyAIServer(key=KEY) as server:
        async with AssemblyAITranscriber(Secret(KEY), base_url=server.base_url) as speech:
            transcript = await speech.transcribe(VOICE, languages=("en",))
        async with AssemblyAITranscriber(Secret(KEY), base_url=server.base_url) as speech:
            await speech.submit(VOICE)
    first, second = traces.spans
    found = first.attributes
    assert first.span_name == "transcription universal-3-pro"
    assert found[names.PROVIDER] == "assemblyai"
    assert found[names.RESPONSE_ID] == transcript.id
    assert found[names.AUDIO_S] == 3
    assert Decimal(str(found[names.COST_AMOUNT])) == transcript.cost_usd
    assert second.attributes[names.RESPONSE_ID] in server.jobs


async def test_g1_a_failed_call_names_its_job_and_no_secret() -> None:
    """The span of a failure has the id; neither the key nor the address of the sound is anywhere in the records."""
    with (
        capture_traces() as traces,
        AssemblyAIServer(key=KEY, script=JobScript(error=f"cannot open https://cdn.example/x?{KEY}")) as server,
    ):
        async with AssemblyAITranscriber(Secret(KEY), base_url=server.base_url) as speech:
            with pytest.raises(PeerRefusedError):
                await speech.transcribe(VOICE)
    [span] = traces.spans
    assert span.attributes[names.RESPONSE_ID] in server.jobs
    written = str([record.decode() for record in traces.records])
    assert KEY not in written
    assert "cdn." not in written


async def test_a_call_that_was_left_names_its_job() -> None:
    """A cancelled call leaves the id of the job that goes on in its span."""
    with capture_traces() as traces, AssemblyAIServer(key=KEY, script=JobScript(processing_s=30)) as server:
        async with AssemblyAITranscriber(Secret(KEY), base_url=server.base_url) as speech:
            with anyio.move_on_after(1.0):
                await speech.transcribe(VOICE)
    [span] = traces.spans
    assert span.status == "cancelled"
    assert span.attributes[names.RESPONSE_ID] in server.jobs


async def test_the_other_transcriber_is_traced_alike() -> None:
    """A call to a server of one's own is a span too."""
    with capture_traces() as traces, WhisperServer(key=None) as server:
        async with WhisperTranscriber(server.base_url, model="small") as speech:
            await speech.transcribe(VOICE)
    [span] = traces.spans
    assert span.span_name == "transcription small"
    assert span.attributes["dealquest.no_speech"] is False
