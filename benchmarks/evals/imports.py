"""What importing costs, each in a fresh process, in turns: the face, and the names a first cell uses; bar 100 ms.

python benchmarks/evals/imports.py
"""

import os
import statistics
import subprocess
import sys

ROWS = {
    "import dealquest.evals": "import dealquest.evals",
    "load, run, rubric, signals": "from dealquest.evals import load, run, rubric, signals",
    "import httpx": "import httpx",
    "import pandas": "import pandas",
}
HEAVY = {"numpy", "pandas", "scipy", "statsmodels", "matplotlib", "distributed", "IPython"}


def main() -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times: dict[str, list[float]] = {name: [] for name in ROWS}
    for _ in range(7):
        for name, code in ROWS.items():
            script = f"import sys, time; t = time.process_time(); {code}; print(time.process_time() - t, *sys.modules)"
            done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environ)
            seconds, *modules = done.stdout.split()
            times[name].append(float(seconds))
            if "dealquest" in code:
                assert not HEAVY & set(modules)
    for name, seconds in times.items():
        print(f"{name:28} {1000 * statistics.median(seconds):6.0f} ms CPU, best {1000 * min(seconds):.0f}")


if __name__ == "__main__":
    main()
