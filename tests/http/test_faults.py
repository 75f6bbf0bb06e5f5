"""The database goes away under the gateway, and comes back."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx

from dealquest.compose import open_kit
from dealquest.settings import load_settings
from dealquest_http import create_app

SECRET = "0123456789abcdefghijklmnopqrstuv-test"
PERSON = {"email": "ann@example.com", "password": "correct horse"}


def stop_immediately(home: Path) -> None:
    """What `pg_ctl stop -m immediate` does."""
    os.kill(int(next(home.glob("postgres/data-*/postmaster.pid")).read_text().split()[0]), signal.SIGQUIT)


async def test_d1_the_database_is_killed_and_callers_go_on(
    home: Path, anyio_backend: str, bearer_of: Callable[[str], dict[str, str]]
) -> None:
    """Stopped under load: no answered row is lost, refusals are envelopes, and within seconds callers of every role are served."""
    settings = load_settings({"DEALQUEST_HOME": str(home), "JWT_SECRET": SECRET, "HTTP_REQUEST_LIMIT": "0"})
    stored: list[str] = []
    async with (
        open_kit(settings) as kit,
        httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(kit)), base_url="http://test", timeout=60) as client,
    ):
        opened = (await client.post("/api/auth/users?client_type=server", json=PERSON)).json()
        admin = bearer_of("project_admin")
        stop_at = anyio.current_time() + 4

        async def write(writer: int) -> None:
            number = 0
            while anyio.current_time() < stop_at:
                name = f"w{writer}n{number}"
                answer = await client.post("/api/database/records/users", json={"local_name": name}, headers=admin)
                assert answer.status_code in {201, 502, 503}, answer.text
                assert answer.status_code == 201 or "error" in answer.json() or "code" in answer.json()
                if answer.status_code == 201:
                    stored.append(name)
                number += 1

        async with anyio.create_task_group() as group:
            for writer in range(5):
                group.start_soon(write, writer)
            await anyio.sleep(1)
            stop_immediately(home)
        begun = time.monotonic()
        own = {"Authorization": f"Bearer {opened['accessToken']}"}
        assert (await client.get("/api/auth/sessions/current", headers=own)).status_code == 200
        assert (await client.get("/api/database/records/users?select=id", headers=own)).status_code == 200
        assert (await client.get("/api/health")).json()["components"]["database"] == "ok"
        assert time.monotonic() - begun < 20
        names = [row["local_name"] async for row in kit.records.table("users").select("id", "local_name").each()]
        assert set(stored) <= set(names)
        assert len(names) == len(set(names))
        assert len(stored) > 10
