"""`dealquest serve` as a process: its first start, its lines, its workers, its end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import attrs
import httpx
import pytest

from dealquest.errors import SettingsError
from dealquest.settings import Settings
from dealquest.values import Secret
from dealquest_http import serve
from dealquest_http.serving import start_lines

KEPT = {"PATH", "HOME", "LANG", "TMPDIR", "PYTHONWARNINGS"}


@attrs.define
class Served:
    """A running server and what it wrote."""

    process: subprocess.Popen[bytes]
    address: str
    out: Path
    err: Path

    def wait(self) -> None:
        """Until it answers."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self.process.poll() is None, self.err.read_text()
            try:
                if httpx.get(f"{self.address}/api/health", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        pytest.fail(self.err.read_text())


@contextmanager
def served(home: Path, tmp_path: Path, *options: str, **environ: str) -> Iterator[Served]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    out, err = tmp_path / "out", tmp_path / "err"
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("COVERAGE_")}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "dealquest", "serve", "--port", str(port), *options],
            env={**kept, "DEALQUEST_HOME": str(home), "HTTP_REQUEST_LIMIT": "0", **environ},
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        found = Served(process=process, address=f"http://127.0.0.1:{port}", out=out, err=err)
        try:
            found.wait()
            yield found
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)
                raise


def test_the_first_start_needs_no_setting_and_shows_its_secrets_once(home: Path, tmp_path: Path) -> None:
    """Admin, API key and anon key are printed once and work; the second start shows none of them and knows all of them."""
    with served(home, tmp_path) as first:
        text = first.err.read_text()
        found = re.search(r"admin +(\S+)  (\S+)\nAPI key +(ik_[0-9a-f]{64})\nanon key +(anon_[0-9a-f]{64})\n", text)
        assert found is not None, text
        email, password, api_key, anon_key = found.groups()
        assert first.address in text
        opened = httpx.post(f"{first.address}/api/auth/admin/sessions", json={"email": email, "password": password})
        assert opened.status_code == 200
        assert httpx.get(f"{first.address}/api/auth/users", headers={"x-api-key": api_key}).status_code == 200
        assert httpx.get(f"{first.address}/api/database/records/users", headers={"Authorization": f"Bearer {anon_key}"}).status_code in {
            401,
            403,
        }
        lines = [json.loads(line) for line in first.out.read_text().splitlines()]
        assert {"time", "id", "method", "path", "status", "bytes", "ms", "address"} == lines[-1].keys()
        secret = (home / "jwt_secret").read_text()
        assert (home / "jwt_secret").stat().st_mode & 0o077 == 0
    written = first.out.read_text() + first.err.read_text()[found.end() :]
    for hidden in (password, api_key, anon_key, secret):
        assert hidden not in written
    with served(home, tmp_path, "--workers", "2") as second:
        text = second.err.read_text()
        for hidden in (password, api_key, anon_key, secret):
            assert hidden not in text
        token = opened.json()["accessToken"]
        for _ in range(6):
            answer = httpx.get(f"{second.address}/api/auth/users", headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code == 200
        assert "workers: 2" in text


def test_k2_work_that_was_answered_survives_kill_9(home: Path, tmp_path: Path) -> None:
    """Every worker and its database's clients are killed in the middle of writing; each answered account is there afterwards, once."""
    answered = []
    for round_ in range(2):
        with served(home, tmp_path) as running:
            begun = time.monotonic()
            with httpx.Client(base_url=running.address, timeout=5) as client:
                for number in range(4):
                    email = f"r{round_}n{number}@example.com"
                    assert client.post("/api/auth/users", json={"email": email, "password": "correct horse"}).status_code == 200
                    answered.append(email)
            assert time.monotonic() - begun < 60
            os.killpg(running.process.pid, signal.SIGKILL)
            running.process.wait(10)
    with served(home, tmp_path) as running:
        for email in answered:
            taken = httpx.post(f"{running.address}/api/auth/users", json={"email": email, "password": "correct horse"}, timeout=5)
            assert taken.status_code == 409


def test_a_request_in_flight_is_answered_after_sigterm(home: Path, tmp_path: Path) -> None:
    """Graceful: the sign-in under way gets its answer, then the process ends."""
    with served(home, tmp_path) as running:
        httpx.post(f"{running.address}/api/auth/users", json={"email": "a@example.com", "password": "correct horse"})

        async def walk() -> list[int]:
            statuses: list[int] = []

            async def sign_in() -> None:
                async with httpx.AsyncClient(timeout=15) as client:
                    body = {"email": "a@example.com", "password": "correct horse"}
                    statuses.append((await client.post(f"{running.address}/api/auth/sessions", json=body)).status_code)

            async with anyio.create_task_group() as group:
                for _ in range(4):
                    group.start_soon(sign_in)
                await anyio.sleep(0.08)
                running.process.terminate()
            return statuses

        assert anyio.run(walk) == [200] * 4
        assert running.process.wait(15) in {0, -signal.SIGTERM}


def test_a_database_of_ones_own_needs_a_secret_of_ones_own(tmp_path: Path) -> None:
    """Several machines have to agree on it, so none is made."""
    with pytest.raises(SettingsError) as caught:
        serve(Settings(home=tmp_path, database_url=Secret("postgresql://x")))
    assert caught.value.code == "http.jwt_secret"


def test_the_start_up_lines_show_no_secret(tmp_path: Path) -> None:
    """Addresses in full; keys cut to what tells them apart."""
    settings = Settings(
        home=tmp_path,
        jwt_secret=Secret("0123456789abcdefghijklmnopqrstuv-test"),
        access_api_key=Secret("ik_" + "7" * 64),
        database_url=Secret("postgresql://user:canary@host/name"),
        http_cors_origins=("https://app.example",),
    )
    text = "\n".join(start_lines(settings, host="::1", port=80, workers=3))
    assert "http://[::1]:80" in text
    assert "https://app.example" in text
    assert "workers: 3" in text
    assert "canary" not in text
    assert "7" * 10 not in text
    assert "0123456789" not in text
