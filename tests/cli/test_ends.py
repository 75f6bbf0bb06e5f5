"""How a command ends when the world does: a pipe whose reader left, a full disk."""

import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "dealquest", "keys", "generate"]


def test_a_reader_that_leaves_is_no_failure() -> None:
    """`dealquest ... | head -0` ends quietly with 0."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait(60)) == (b"", 0)


def test_a_full_disk_is_one_clear_line() -> None:
    """Output that cannot be written is said in a line, with exit code 1 and no traceback."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(COMMAND, stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == b"dealquest: the output cannot be written, its disk is full.\n"
