"""Known vulnerabilities of the packages that vfx-edge runs on: pip-audit, whose answer is believed
only where it could ask.

`python audit.py FOLDER_OF_PACKAGES` ends with 0 where every package was looked up and none is known
to be vulnerable, 1 where one is, 3 where the advisory database could not be reached: that is no
good news.
"""

import json
import subprocess
import sys

OWN = "vfx-edge"
FOUND, NOT_REACHED = 1, 3


def main(folder: str) -> int:
    """The exit code; the findings go to standard output."""
    words = ["-m", "pip_audit", "--path", folder, "--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, encoding="utf-8", check=False
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        print(f"audit: the advisory database can't be reached: {lines[-1][:200]}")
        return NOT_REACHED
    found = [
        (one["name"], one["version"], v["id"]) for one in packages for v in one.get("vulns", ())
    ]
    skipped = [one["name"] for one in packages if "skip_reason" in one and one["name"] != OWN]
    for name, version, advisory in found:
        print(f"audit: {name} {version}: {advisory}")
    if skipped:
        print(f"audit: {len(skipped)} of {len(packages)} packages could not be looked up: run it")
        print("  again where the advisory database of PyPI can be reached")
    if not found and not skipped:
        print(f"audit: {len(packages)} packages, no known vulnerability")
    return FOUND if found else NOT_REACHED if skipped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
