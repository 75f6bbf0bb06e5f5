"""Fixtures for users' tests: `pytest_plugins = ["dealquest.testing.pytest_plugin"]`."""

from collections.abc import Iterator

import pytest

from .traces import CapturedTraces, capture_traces


@pytest.fixture
def captured_traces() -> Iterator[CapturedTraces]:
    """The traces of this test."""
    with capture_traces() as traces:
        yield traces
