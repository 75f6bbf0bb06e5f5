"""The backend in one process, without a socket: sign up, and read a row with the rights of the person who signed up."""

import tempfile
from pathlib import Path

import anyio
import httpx  # noqa: TID251  # the example plays the browser

from dealquest.compose import open_kit
from dealquest.settings import Settings
from dealquest.values import Secret
from dealquest_http import create_app


async def main(home: Path) -> None:
    """Open the cores over a database of their own, and talk to the application as a browser's page would."""
    settings = Settings(home=home, jwt_secret=Secret("7c1d5e0b9a3f48c2b6e1f0a9d4c8b7e2"))
    async with open_kit(settings) as kit:
        transport = httpx.ASGITransport(app=create_app(kit))
        async with httpx.AsyncClient(transport=transport, base_url="http://dealquest") as client:
            person = {"email": "ann@example.com", "password": "correct horse"}
            opened = (await client.post("/api/auth/users?client_type=server", json=person)).json()
            headers = {"Authorization": f"Bearer {opened['accessToken']}"}
            found = (await client.get("/api/auth/sessions/current", headers=headers)).json()
            print("signed in as", found["user"]["email"])
            rows = await client.get("/api/database/records/attempts?select=score", headers=headers)
            print("attempts that Ann may see:", rows.json())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's own account must be able to enter when root runs this
        anyio.run(main, Path(folder) / "data")
