"""Makes Orthanc try again what it could not send to vfx-edge. For a timer, each minute:

    * * * * *  orthanc  python3 /opt/vfx-edge/integration/orthanc/send_again.py

Only for Orthanc before 1.11.1, as in Debian 12; later ones do it by vfx-edge.lua. Needs only
Python itself. Exit code 1: Orthanc did not answer.
"""

import json
import sys
import urllib.request
from typing import Any

MODALITY = "vfx-edge"


def ask(url: str, body: bytes | None = None) -> Any:
    with urllib.request.urlopen(url, data=body, timeout=30) as answer:
        return json.load(answer)


def main() -> int:
    orthanc = (sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8042").rstrip("/")
    try:
        title = ask(f"{orthanc}/modalities/{MODALITY}/configuration")["AET"]
        for job in ask(f"{orthanc}/jobs?expand"):
            mine = job["Type"] == "DicomModalityStore" and job["Content"]["RemoteAet"] == title
            if mine and job["State"] == "Failure":
                ask(f"{orthanc}/jobs/{job['ID']}/resubmit", b"")
                print(f"send_again: job {job['ID']}")
    except (OSError, ValueError, KeyError) as error:
        print(f"send_again: {orthanc} can't be asked ({error}): is it running?", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
