"""Real processes are killed while messages arrive (K1, K4); `benchmarks/telegram/durability.py` has the full number of rounds."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "telegram" / "durability.py"


@pytest.mark.parametrize(
    "mode",
    [["--careful", "--kills", "1", "--terms", "1"], ["--webhook", "--kills", "1", "--terms", "0", "--messages", "12"]],
    ids=["polling", "webhook"],
)
def test_k1_k4_no_message_is_lost_and_no_effect_doubled(mode: list[str]) -> None:
    """After kill -9 and SIGTERM at random moments every message has its answer, once worked, in order."""
    command = [sys.executable, str(SCRIPT), "--messages", "24", "--rate", "8", "--longest", "1", *mode]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "lost: 0" in ended.stdout
