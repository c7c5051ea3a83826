"""What an earlier run left in the output folder: it may be another patient's."""

import json
import re
from pathlib import Path

from vfx_edge.files import mapped

NAMES = ("report.html", "sr.dcm", "kos.dcm", "seg.dcm")
PICTURES = re.compile(r"\d{2,}-[A-Za-z0-9]+\.dcm")
"""Names of the secondary captures in sc/."""


def remove_former(folder: Path) -> None:
    """Removes an earlier run's results, result.json first: where it lies, all beside it belongs
    to it. A folder without one of ours is left as it is. OutputError where it can't be done."""
    marker = folder / "result.json"
    if not _is_ours(marker):
        return
    with mapped(folder):
        marker.unlink(missing_ok=True)
        for name in NAMES:
            (folder / name).unlink(missing_ok=True)
        captures = folder / "sc"
        for file in captures.iterdir() if captures.is_dir() else ():
            if PICTURES.fullmatch(file.name):
                file.unlink(missing_ok=True)


def _is_ours(marker: Path) -> bool:
    try:
        found = json.loads(marker.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and str(found.get("schema", "")).startswith("vfx-edge/result/")
