"""What importing the router costs, beside httpx, in the same run; and whether it stays off the network and pydantic.

python benchmarks/llm/imports.py
"""

import os
import statistics
import subprocess
import sys

PROBE = """
import resource, socket, sys, time
sys.modules["rich"] = None  # httpx imports its command line's printer where that is installed; not what is measured
socket.socket.connect = None
started = time.process_time()
{code}
cpu_ms = (time.process_time() - started) * 1e3
print(cpu_ms, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(sys.modules), "pydantic" in sys.modules)
"""
CASES = {
    "bare python": "pass",
    "httpx": "import httpx",
    "dealquest.llm": "import dealquest.llm",
    "httpx, then dealquest.llm": "import httpx, dealquest.llm",
    "httpx, then both": "import httpx; from dealquest.llm import Router; from dealquest.transcription import Transcriber",
    "aiohttp": "import aiohttp",
    "aiohttp, then dealquest.llm": "import aiohttp, dealquest.llm",
}


def measure(code: str) -> tuple[float, float, int, str]:
    # Installed packages come with their bytecode; ours is compared on equal terms.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", PROBE.format(code=code)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.split()
    return float(out[0]), float(out[1]), int(out[2]), out[3]


def main() -> None:
    runs: dict[str, list[tuple[float, float, int, str]]] = {name: [] for name in CASES}
    for code in CASES.values():
        measure(code)  # writes bytecode where there is none
    for _ in range(9):
        for name, code in CASES.items():
            runs[name].append(measure(code))
    bare_ms, bare_mb = (statistics.median(run[i] for run in runs["bare python"]) for i in (0, 1))
    base_ms = statistics.median(run[0] for run in runs["httpx"]) - bare_ms
    for name, found in runs.items():
        cpu, rss = (statistics.median(run[i] for run in found) for i in (0, 1))
        ratio = (cpu - bare_ms) / base_ms
        facts = f"{cpu - bare_ms:7.1f} ms ({ratio:.2f} x httpx)  +{rss - bare_mb:5.1f} MB"
        print(f"  {name:28} {facts}  {found[0][2]:4} modules  pydantic: {found[0][3]}")
    both, alone = ([statistics.median(run[i] for run in runs[name]) for i in (0, 1)] for name in ("httpx, then both", "httpx"))
    print(f"router and transcription above httpx: {both[0] - alone[0]:.1f} ms, {both[1] - alone[1]:.1f} MB   (bars 40 ms, 4 MB)")


if __name__ == "__main__":
    main()
