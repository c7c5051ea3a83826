"""Cells of a labels.csv as departments write them -> values. ValueError says what is allowed; it
never repeats the cell, which may hold anything."""

import math
import re
import unicodedata
from typing import TypeVar

from vfx_edge.labelled.dataset import Label, Split
from vfx_edge.level_names import vertebra_label
from vfx_edge.vocabulary import Level

_T = TypeVar("_T")
_MISSING = frozenset(
    ("", "nan", "na", "n/a", "#n/a", "#nv", "n.a.", "nil", "null", "none", "-", "--", "–", "—",
     ".", "?", "unknown", "unbekannt", "k.a.", "k. a.", "missing")
)  # fmt: skip
_LABELS = {
    **dict.fromkeys(("osteoporotisch", "osteoporotic_fracture", "osteoporosis", "osteoporose"),
                    Label.OSTEOPOROTIC),
    **dict.fromkeys(("maligne", "malign", "malignant_fracture", "pathological", "pathologic",
                     "pathologisch"), Label.MALIGNANT),
    **dict.fromkeys(("intakt", "normal"), Label.INTACT),
    **dict.fromkeys(("intactlesion", "intact_with_lesion", "intact_malignant", "intakt_läsion",
                     "intakte_läsion", "intakt_mit_läsion"), Label.INTACT_LESION),
    **dict.fromkeys(("exclude", "ausgeschlossen"), Label.EXCLUDED),
    **{label.value: label for label in Label},
}  # fmt: skip
_SPLITS = {
    **dict.fromkeys(("training", "trainieren"), Split.TRAIN),
    **dict.fromkeys(("val", "valid", "validate", "dev", "validierung"), Split.VALIDATION),
    **dict.fromkeys(("testing", "internal_test", "internal"), Split.TEST),
    **dict.fromkeys(("external_test", "extern"), Split.EXTERNAL),
    **{split.value: split for split in Split},
}
_UNCERTAIN = frozenset(("uncertain", "unsicher", "unclear", "unklar"))
_SEXES = {
    **dict.fromkeys(("f", "w", "female", "woman", "weiblich", "frau"), "F"),
    **dict.fromkeys(("m", "male", "man", "männlich", "mann"), "M"),
    **dict.fromkeys(("o", "d", "x", "other", "divers", "diverse"), "O"),
}
_TRUTHS = {
    **dict.fromkeys(("yes", "y", "ja", "j", "true", "wahr", "1", "1.0"), True),
    **dict.fromkeys(("no", "n", "nein", "false", "falsch", "0", "0.0"), False),
}
_CONTRAST = {
    **dict.fromkeys(("yes", "y", "ja", "j", "true", "wahr", "1", "1.0", "1,0", "with", "mit",
                     "arterial", "venous", "portal_venous", "arteriell", "venös", "portalvenös"),
                    True),
    **dict.fromkeys(("no", "n", "nein", "false", "falsch", "0", "0.0", "0,0", "without", "ohne",
                     "none", "native", "nativ"), False),
}  # fmt: skip
_AGE = re.compile(r"0*(\d{1,3}(?:[.,]\d{1,6})?)\s*(y|years?|yrs?|j|jahre?|a|m|w|d)?\.?")
_YEARS_OF = {"m": 12.0, "w": 52.18, "d": 365.25}
OLDEST = 120
_GRADE = re.compile(r"(?:genant|grade|grad|g)?[\s_:]*([0-3])(?:[.,]0{1,6})?")
MOST_CHARACTERS = 200


def is_missing(cell: str) -> bool:
    """Whether a cell stands for nothing."""
    return cell.strip().casefold() in _MISSING


def level_of(cell: str) -> Level:
    """ "th12", "BWK 12", "L1" …"""
    try:
        return Level.from_verse(vertebra_label(cell) or 0)
    except KeyError:
        raise ValueError("write C1 to C7, T1 to T13 or L1 to L6, one vertebra a row") from None


def label_of(cell: str) -> Label:
    """The gold standard's word, in English or German."""
    return _one_of(_LABELS, cell, ", ".join(Label))


def split_of(cell: str) -> Split | None:
    """None where the cell is empty."""
    return None if is_missing(cell) else _one_of(_SPLITS, cell, ", ".join(Split))


def reading_of(cell: str) -> str:
    """osteoporotic, malignant, uncertain, or "" where nothing was read."""
    if is_missing(cell):
        return ""
    word = _word(cell)
    if word in _UNCERTAIN:
        return "uncertain"
    label = _LABELS.get(word)
    if label is None or not label.fractured:
        raise ValueError("write osteoporotic, malignant or uncertain, or leave it empty")
    return label.value


def genant_of(cell: str) -> int | None:
    """0..3."""
    if is_missing(cell):
        return None
    at = _GRADE.fullmatch(cell.strip().casefold())
    if at is None:
        raise ValueError("write 0, 1, 2 or 3")
    return int(at[1])


def age_of(cell: str) -> float | None:
    """Years: "69", "69,0", DICOM's "069Y" and "018M"."""
    if is_missing(cell):
        return None
    at = _AGE.fullmatch(cell.strip().casefold())
    years = float(at[1].replace(",", ".")) / _YEARS_OF.get(at[2] or "", 1.0) if at else math.nan
    if not 0 <= years <= OLDEST:
        raise ValueError(f"write years from 0 to {OLDEST}")
    return years


def sex_of(cell: str) -> str:
    """F, M, O as DICOM has them, or ""."""
    return "" if is_missing(cell) else _one_of(_SEXES, cell, "F, M or O")


def contrast_of(cell: str) -> bool | None:
    """Whether a contrast agent was given."""
    if (known := _CONTRAST.get(_word(cell))) is not None:
        return known
    if is_missing(cell):
        return None
    raise ValueError("write yes or no")


def truth_of(cell: str) -> bool | None:
    """Yes, no, or None where nobody says."""
    return None if is_missing(cell) else _one_of(_TRUTHS, cell, "yes or no")


def text_of(cell: str) -> str:
    """Free text, in one line; an umlaut is one, whichever way it was typed."""
    if is_missing(cell):
        return ""
    cell = unicodedata.normalize("NFC", cell)
    text = " ".join("".join(c if c.isprintable() else " " for c in cell).split())
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"write at most {MOST_CHARACTERS} characters")
    return text


def name_of(cell: str) -> str:
    """A study or a patient."""
    if not (name := text_of(cell)):
        raise ValueError("each row needs one; for a patient any pseudonym will do")
    return name


def _word(cell: str) -> str:
    return "_".join(cell.strip().casefold().replace("-", " ").replace("_", " ").split())


def _one_of(table: dict[str, _T], cell: str, allowed: str) -> _T:
    try:
        return table[_word(cell)]
    except KeyError:
        raise ValueError(f"write {allowed}") from None
