"""`--clinical FILE`: facts of the patient, as a JSON object or a CSV of one row.

    {"age": 71, "sex": "f", "known_tumour": false}
    age;sex;known_tumour;previous_fracture

What is left out, empty or null is not known.
"""

import csv
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from vfx_edge.errors import InputError
from vfx_edge.second_reader import MOST_YEARS, Clinical

MOST_BYTES, MOST_DIGITS = 2**16, 20
NAMES = tuple(one.name for one in fields(Clinical))
_YES, _NO = ("yes", "true", "1", "y", "ja"), ("no", "false", "0", "n", "nein")
_SEX = {"f": "f", "female": "f", "w": "f", "m": "m", "male": "m"}
_YEARS_IN = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}


class ClinicalUnreadable(InputError):
    """The file is there, or not, and holds no facts of one patient."""

    def __init__(self, path: Path, why: str) -> None:
        names = ", ".join(NAMES)
        super().__init__(
            f"{path.name} can't be read as clinical data ({why}): give one JSON object, or a CSV "
            f"of a header and one row, with {names}."
        )


def read_clinical(path: Path) -> Clinical:
    """ClinicalUnreadable, whose sentence holds no value of the file."""
    text = _text(path)
    try:
        return clinical_of(_json(text) if text.lstrip()[:1] == "{" else _row(text))
    except RecursionError:
        raise ClinicalUnreadable(path, "it is nested too deep") from None
    except (ValueError, csv.Error) as error:
        raise ClinicalUnreadable(path, str(error)) from None


def clinical_of(given: Mapping[str, Any]) -> Clinical:
    """Words or values by name -> facts. ValueError without a value in its text."""
    if unknown := [name for name in given if name not in NAMES]:
        place = list(given).index(unknown[0]) + 1
        raise ValueError(f"its entry {place} has a name that is not known")
    return Clinical(
        age=_age(given.get("age")),
        sex=_sex(given.get("sex")),
        known_tumour=truth_of("known_tumour", given.get("known_tumour")),
        previous_fracture=truth_of("previous_fracture", given.get("previous_fracture")),
    )


def of_header(age: str, sex: str) -> Clinical:
    """DICOM's PatientAge ("071Y") and PatientSex; what says nothing usable is not known."""
    found = re.fullmatch(r"(\d{3})([DWMY])", age.strip())
    years = None if found is None else int(found[1]) / _YEARS_IN[found[2]]
    return Clinical(
        age=years if years is not None and years <= MOST_YEARS else None,
        sex=_SEX.get(sex.strip().lower()) if len(sex.strip()) == 1 else None,
    )


def _text(path: Path) -> str:
    if not os.path.isfile(path):  # nor a pipe, which may never end
        there = "it is no file" if os.path.exists(path) else "there is no such file"
        raise ClinicalUnreadable(path, there)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ClinicalUnreadable(path, error.strerror or type(error).__name__) from None
    if len(data) > MOST_BYTES:
        raise ClinicalUnreadable(path, "it is larger than such a file ever is")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ClinicalUnreadable(path, "it is no text in UTF-8") from None


def _json(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(text, object_pairs_hook=_once, parse_int=_whole)
    except json.JSONDecodeError:
        raise ValueError("it is no valid JSON") from None
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # json would take the last, and nobody knows which is right
        raise ValueError("it has a name twice")
    return found


def _whole(digits: str) -> float:
    return (
        int(digits) if len(digits) < MOST_DIGITS else float(digits)
    )  # int() refuses very long ones


def _row(text: str) -> dict[str, str]:
    first = text.split("\n", 1)[0]
    mark = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    lines = [line for line in reader if line]
    if len(lines) != 2 or len(lines[0]) != len(lines[1]):
        raise ValueError("it is no table of a header and one row of as many cells")
    header = [cell.strip() for cell in lines[0]]
    if len(set(header)) != len(header):
        raise ValueError("it names a column twice")
    return dict(zip(header, lines[1], strict=True))


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip() in ("", "unknown"))


def _age(value: Any) -> float | None:
    if _is_empty(value):
        return None
    if isinstance(value, str) and re.fullmatch(r"\s*\d{1,3}([.,]\d{1,6})?\s*", value):
        return float(value.replace(",", "."))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < 1e6 else float("inf")
    raise ValueError("age is no number of years")


def _sex(value: Any) -> str | None:
    if _is_empty(value):
        return None
    if not isinstance(value, str) or value.strip().lower() not in _SEX:
        raise ValueError("sex is neither f nor m")
    return _SEX[value.strip().lower()]


def truth_of(name: str, value: Any) -> bool | None:
    """yes, no, or None for nothing. ValueError."""
    if _is_empty(value):
        return None
    word = str(value).strip().lower() if isinstance(value, str | bool | int) else ""
    if word not in (*_YES, *_NO):
        raise ValueError(f"{name} is neither yes nor no")
    return word in _YES
