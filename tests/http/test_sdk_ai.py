"""The AI part of the real InsForge SDK in Node, unchanged, against a live server and a model behind a socket."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dealquest.settings import Settings
from dealquest.testing import ModelServer
from dealquest_http.keys import anon_key

FOLDER = Path(__file__).parent / "sdk"


def _packages() -> Any:
    spec = importlib.util.spec_from_file_location("sdk_packages", FOLDER / "packages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("sdk_packages", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with ModelServer() as server:
        yield server


@pytest.fixture
def variables(model: ModelServer) -> dict[str, str]:
    return {"OPENROUTER_API_KEY": "sk-or-test", "OPENROUTER_BASE_URL": model.base_url}


@pytest.mark.parametrize("version", ["1.1.3", "1.5.2"])
def test_the_real_sdk_asks_models_unchanged(version: str, live: str, settings: Settings, bearer: Callable[..., dict[str, str]]) -> None:
    """Answers, streams, embeddings and refusals have the form that an application of the SDK reads."""
    packages = _packages()
    assert settings.jwt_secret is not None
    token = bearer("authenticated", "00000000-0000-4000-8000-000000000007")["Authorization"].removeprefix("Bearer ")
    done = subprocess.run(
        [packages.NODE, FOLDER / "ai.mjs", packages.sdk_folder(version), live, anon_key(settings.jwt_secret), token],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    choice = found["completion"]["choices"][0]
    assert choice["message"]["content"] == "Hello there."
    assert found["completion"]["usage"]["total_tokens"] == 15
    assert "".join(chunk["delta"].get("content", "") for chunk in found["chunks"]) == "Hello there."
    assert len(found["chunks"]) == 3
    if "embeddings" in found:
        assert [row["embedding"] for row in found["embeddings"]["data"]] == [[0.5, -1.0], [1.5, -1.0]]
    assert found["invalid"]["statusCode"] == 400
    assert (found["anonymous"]["statusCode"], found["anonymous"]["error"]) == (403, "FORBIDDEN")
    assert "sign in first" in found["anonymous"]["message"]
    assert found["anonymousStream"]["message"] == "FORBIDDEN"  # of a refused stream the SDK keeps the code alone
