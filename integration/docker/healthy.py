"""The image's health check: whether the service in this container says that it is well.

A container that runs another command, `batch` say, has no service, and nothing to be asked.
Exit code 0: well, or no service; 1: not well.
"""

import sys
import urllib.request
from pathlib import Path

URL = "http://127.0.0.1:8080/healthz"
SERVICES = (b"listen", b"watch")


def main() -> int:
    words = Path("/proc/1/cmdline").read_bytes().split(b"\0")
    if not any(word in words for word in SERVICES):
        return 0
    try:
        with urllib.request.urlopen(URL, timeout=8) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(f"vfx-edge: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
