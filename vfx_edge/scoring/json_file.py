"""JSON of others: bounded, without numbers that are none."""

import json
from pathlib import Path
from typing import Any, NoReturn

MOST_BYTES = 2**24


def read_json(path: Path, most_bytes: int = MOST_BYTES) -> Any:
    """OSError; ValueError in words where it is none."""
    with path.open("rb") as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise ValueError("it is too large")
    try:
        return json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None


def _no_number(_: str) -> NoReturn:
    raise ValueError("a number is none")
