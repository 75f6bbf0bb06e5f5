"""Faces that load their parts late behave like modules that do not."""

import importlib

import pytest

LAZY = (
    "dealquest.evals",
    "dealquest.llm",
    "dealquest.storage",
    "dealquest.storage.engine",
    "dealquest.testing",
    "dealquest.tracing",
    "dealquest.tracing.sinks",
    "dealquest.transcription",
    "dealquest.wire",
    "dealquest_http",
    "dealquest_telegram",
)


@pytest.mark.parametrize("name", LAZY)
def test_every_name_of_a_late_face_is_there_and_no_other(name: str) -> None:
    """What `__all__` lists can be had; what it does not is an AttributeError, so that `hasattr` and spelling checks work."""
    face = importlib.import_module(name)
    assert all(hasattr(face, listed) for listed in face.__all__)
    assert not hasattr(face, "no_such_name")
