"""What the folder of a study's results tells beside the results themselves."""

import json
from pathlib import Path

from vfx_edge.service.store.arrivals import pseudonym

_LEFT_OUT = "left_out.txt"


def study_of(results: Path) -> str:
    """The study's pseudonym, from what was read of it; empty where the results don't tell."""
    try:
        told = json.loads((results / "result.json").read_text("utf-8"))
        return pseudonym(told["series"]["study_uid"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def note_left_out(results: Path, why: str) -> None:
    """Keep beside the results why some that were wanted are not there."""
    (results / _LEFT_OUT).write_text(why, "utf-8")


def left_out(results: Path) -> str:
    """Why some that were wanted are not there; empty where all are."""
    try:
        return (results / _LEFT_OUT).read_text("utf-8")
    except FileNotFoundError:
        return ""
