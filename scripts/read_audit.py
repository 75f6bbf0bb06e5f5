"""Judge the report of an audit: weaknesses fail, and so does a package that nobody could look at.

python scripts/read_audit.py AUDIT.json
"""

import json
import sys
from pathlib import Path


def main(report: Path) -> int:
    """Print what was found; 0 when every package was looked at and none has a known weakness."""
    if not report.is_file():
        print("The audit ended without a report, so nothing was looked at; its own words stand above.")
        return 1
    packages = json.loads(report.read_text("utf-8"))["dependencies"]
    unseen = [package["name"] for package in packages if "skip_reason" in package]
    weak = [
        (package["name"], package["version"], found["id"], ", ".join(found["fix_versions"]) or "no fixed version")
        for package in packages
        for found in package.get("vulns", ())
    ]
    looked_at = len(packages) - len(unseen)
    print(f"{looked_at} of {len(packages)} pinned packages were looked at; {len(weak)} known weaknesses.")
    for name, version, identifier, fixed in weak:
        print(f"  {name} {version}: {identifier}, fixed in {fixed}")
    if unseen:
        print(f"Nobody could look at {len(unseen)} packages ({', '.join(unseen[:5])} ...): the advisory service gave no answer about them.")
        print("This run proves nothing about those. Run it again where the package index's advisories can be reached.")
    return 0 if looked_at and not unseen and not weak else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
