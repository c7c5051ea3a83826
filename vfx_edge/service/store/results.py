"""What is kept beside a study's results, and read from them."""

import json
from pathlib import Path

from vfx_edge.service.store.identifiers import pseudonym

_LEFT_OUT = "left_out.txt"


def pseudonym_in(results: Path) -> str:
    """The study's pseudonym, by result.json; empty where it can't be read."""
    try:
        result = json.loads((results / "result.json").read_text("utf-8"))
        return pseudonym(result["series"]["study_uid"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def note_missing_results(results: Path, why: str) -> None:
    """Note beside the results why some that were asked for could not be made."""
    (results / _LEFT_OUT).write_text(why, "utf-8")


def missing_results(results: Path) -> str:
    """Why some that were asked for could not be made; empty where all were."""
    try:
        return (results / _LEFT_OUT).read_text("utf-8")
    except FileNotFoundError:
        return ""
