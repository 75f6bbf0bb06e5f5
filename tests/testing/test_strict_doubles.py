"""The doubles refuse what the peers refuse, so that a client's mistake shows in a test and not in production."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dealquest import testing
from dealquest.testing import Arrival, AssemblyAIServer, Fault, FrozenClock, JobScript, LoopbackServer, Reply, WhisperServer


@pytest.fixture
def speech() -> Iterator[AssemblyAIServer]:
    with AssemblyAIServer(script=JobScript(queued_s=0.0, processing_s=0.0)) as server:
        yield server


def post(server: AssemblyAIServer, path: str, **given: Any) -> httpx.Response:
    headers = {"authorization": server.key, **given.pop("headers", {})}
    return httpx.post(f"{server.base_url}/v2/{path}", headers=headers, trust_env=False, **given)


def test_a_job_is_only_made_from_a_well_formed_order(speech: AssemblyAIServer) -> None:
    """Wrong key, wrong type, no sound, foreign addresses, unknown fields and models, and options that exclude each other are refused."""
    assert post(speech, "upload", headers={"authorization": "other"}, content=b"RIFF").status_code == 401
    assert post(speech, "upload", headers={"content-type": "application/octet-stream"}).status_code == 422
    url = post(speech, "upload", content=b"RIFF", headers={"content-type": "text/plain"}).json()["upload_url"]
    good = {"audio_url": url, "speech_models": ["universal-3-pro"]}
    refused: list[Any] = [
        [],
        {"surely": 1, **good},
        {**good, "audio_url": "https://elsewhere.test/x"},
        {**good, "speech_models": []},
        {**good, "speech_models": ["nobody-knows"]},
        {**good, "language_code": "en", "language_detection": True},
        {**good, "language_detection": True, "language_detection_options": {"surely": 1}},
    ]
    for order in refused:
        assert post(speech, "transcript", json=order).status_code == 400, order
    assert len(speech.violations) == 1 + len(refused)
    assert post(speech, "transcript", json=good).status_code == 200
    speech.balance_usd = -1.0
    assert "negative" in post(speech, "transcript", json=good).json()["error"]
    unknown = httpx.get(f"{speech.base_url}/v2/transcript/nobody", headers={"authorization": speech.key}, trust_env=False)
    assert unknown.status_code == 400
    assert post(speech, "nowhere").status_code == 404


class Hook(LoopbackServer):
    """Takes a notice at the second try."""

    def answer(self, arrival: Arrival) -> Reply:
        self.notices = [*getattr(self, "notices", []), json.loads(b"".join(arrival.chunks()))]
        return Reply(status=503 if len(self.notices) == 1 else 204)


def test_a_webhook_is_called_until_somebody_takes_the_notice(speech: AssemblyAIServer) -> None:
    """A 5xx is tried again, a 2xx ends it; the notice bears the header that was asked for."""
    url = post(speech, "upload", content=b"RIFF", headers={"content-type": "application/octet-stream"}).json()["upload_url"]
    with Hook() as hook:
        order = {"audio_url": url, "speech_models": ["universal-3-pro"], "webhook_url": f"{hook.base_url}/hook"}
        job = post(speech, "transcript", json=order).json()["id"]
        for _ in range(400):
            if len(getattr(hook, "notices", [])) == 2:
                break
            time.sleep(0.01)
        assert hook.notices == [{"transcript_id": job, "status": "completed"}] * 2


def test_a_whisper_server_wants_a_key_a_file_and_a_model() -> None:
    """What such a server refuses is refused, a scripted error comes in its form, and plain JSON is only a text."""
    with WhisperServer(key="sk-own", script=JobScript(queued_s=0.0, processing_s=0.0)) as server:

        def ask(key: str = "sk-own", path: str = "/v1/audio/transcriptions", **form: str) -> httpx.Response:
            files = {"file": ("a.wav", b"RIFF")} if form.pop("file", "yes") == "yes" else {"other": ("a", b"")}
            address = server.base_url.removesuffix("/v1") + path
            return httpx.post(address, headers={"authorization": f"Bearer {key}"}, data=form, files=files, trust_env=False)

        assert ask(key="other").status_code == 401
        assert ask(path="/v1/elsewhere", model="whisper-1").status_code == 404
        assert ask(model="whisper-1", file="no").status_code == 400
        assert ask().status_code == 400
        assert len(server.violations) == 2
        assert ask(model="whisper-1", response_format="json").json().keys() == {"text"}
        server.script = JobScript(queued_s=0.0, processing_s=0.0, error="no sound in it")
        assert "no sound in it" in ask(model="whisper-1").text


def test_bodies_are_read_strictly() -> None:
    """A body with a length and chunks is a violation, a chunk without its end and a body cut short end the exchange."""

    class Echo(LoopbackServer):
        def answer(self, arrival: Arrival) -> Reply:
            return Reply(body=b"".join(arrival.chunks()))

    def send(server: LoopbackServer, raw: bytes) -> bytes:
        port = int(server.base_url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
            return answer

    head = b"POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n"
    with Echo() as server:
        assert send(server, head + b"content-length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n").endswith(b"abc")
        assert server.violations == ["a body with a length and chunks"]
        assert send(server, head + b"\r\n3\r\nabcde\r\n0\r\n\r\n") == b""
        assert send(server, b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc") == b""
        server.fail("POST /x", Fault(kind="answer", status=418, body=b"teapot"), Fault(kind="cut"))
        assert b"teapot" in send(server, head + b"\r\n3\r\nabc\r\n0\r\n\r\n")
        assert not send(server, head + b"\r\n4\r\nabcd\r\n0\r\n\r\n").endswith(b"abcd")
    assert server.clients_gone == 2


async def test_limits_of_no_time_and_of_all_time() -> None:
    """A block with no time left is cancelled at its first wait; one with all the time is not."""
    clock = FrozenClock()
    with clock.limit(0.0) as limit:
        await clock.sleep(1)
    assert limit.expired
    with clock.limit(float("inf")) as limit:
        await clock.sleep(0)
        await clock.sleep(1)
    assert not limit.expired
    with clock.limit(5.0) as limit:
        clock.advance(6)  # what falls due on the way happens
        await clock.sleep(1)
    assert limit.expired


def test_a_name_that_does_not_ship_is_an_attribute_error() -> None:
    """The lazy face says so as a module does."""
    with pytest.raises(AttributeError, match="NoSuchDouble"):
        testing.NoSuchDouble  # noqa: B018  # looking is the point
