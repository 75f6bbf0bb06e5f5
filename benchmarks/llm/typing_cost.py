"""Check a six-line user program with `mypy --strict` and an empty cache; prints the seconds and whether it is clean.

python benchmarks/llm/typing_cost.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = """\
import anyio
from dealquest.llm import Router
async def main() -> None:
    async with Router.from_env() as llm:
        print((await llm.complete([{"role": "user", "content": "Pitch me"}])).text)
anyio.run(main)
"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.py"
        path.write_text(PROGRAM)
        config = Path(folder) / "empty.ini"
        config.write_text("[mypy]\n")
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(config), "--cache-dir", f"{folder}/cache", str(path)]
        started = time.perf_counter()
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        print(f"  {time.perf_counter() - started:.1f} s: {done.stdout.strip()}")
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
