"""Judge the licences of what is installed: permissive ones pass; LGPL and MPL pass where the table below says why.

python scripts/read_licences.py LICENCES.json
"""

import json
import re
import sys
from pathlib import Path

PERMISSIVE = re.compile(
    r"\b(MIT|MIT-0|MIT-CMU|BSD|Apache|ISC|PSF|Python Software Foundation|0BSD|Unlicense|HPND|CNRI|Zlib|BlueOak|CC0)\b", re.IGNORECASE
)
WEAK_COPYLEFT = re.compile(r"LGPL|Lesser General Public|MPL|Mozilla Public", re.IGNORECASE)
# Reached through extras or used while developing only; linked, never copied into our files.
ACCEPTED = {
    "psycopg": "LGPL, in the extra postgres",
    "psycopg-binary": "LGPL, in the extra postgres",
    "certifi": "MPL, data only: the list of certificate authorities",
    "hypothesis": "MPL, tests only",
    "pathspec": "MPL, build only",
    "tqdm": "MPL and MIT",
    "orjson": "MPL or Apache or MIT, at choice",
}
OWN = {"dealquest", "dealquest-http", "dealquest-telegram"}


def main(listing: Path) -> int:
    """Print a line a licence; 0 when every package has one that we accept."""
    packages = json.loads(listing.read_text("utf-8"))
    refused = []
    for package in packages:
        name, licence = package["Name"], package["License"]
        accepted = PERMISSIVE.search(licence) or (WEAK_COPYLEFT.search(licence) and name.lower() in ACCEPTED)
        if name.lower() not in OWN and not accepted:
            refused.append(f"{name} {package['Version']}: {licence}")
        print(f"{licence:45.45} {name} {package['Version']}")
    print(f"{len(packages)} packages; {len(refused)} without a licence that we accept.")
    for line in refused:
        print("  " + line)
    return 0 if packages and not refused else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
