"""Whether headers speak of the same patient, however they spell the name."""

import re
import unicodedata
from dataclasses import dataclass
from itertools import combinations

from vfx_edge.inputs.facts import Facts, Values, text

PATIENT_KEYWORDS = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex")
AGE_KEYWORD = "PatientAge"
_UNREADABLE = "\ufffd?"
"""What stands for a letter of another character set."""
_UMLAUT = re.compile("(?<=[aou])e")
"""Müller is Mueller in one archive and Muller in another."""
_TITLE = 3
"""The part of a name for a prefix (PS3.5 6.2.1.1): a doctor may be one in one archive alone."""
_MOST_SPELLINGS = 64
"""Nobody is written in more ways, and every two of them are compared."""


@dataclass(frozen=True, repr=False)
class Patient:
    """What tells patients apart, spelt in one way; never shown.

    names: the alphabetic, the ideographic and the phonetic one, empty where not stated.
    """

    id: str
    names: tuple[str, str, str]
    birth: str
    sex: str


def patient(facts: Facts, values: Values) -> Patient:
    """The patient of one file."""
    return values.once(_patient, *(text(facts, keyword) for keyword in PATIENT_KEYWORDS))


def _patient(number: str, name: str, birth: str, sex: str) -> Patient:
    groups = [*name.split("="), "", "", ""]
    sex = _plain(sex)[:1]
    return Patient(
        id=_plain(number),
        names=(_name(groups[0]), _name(groups[1]), _name(groups[2])),
        birth="".join(filter(str.isdigit, birth)),
        sex=sex if sex in ("m", "f") else "",
    )


def different(patients: set[Patient]) -> bool:
    """Whether any two of them are not the same person, or nothing shows that they are."""
    return len(patients) > _MOST_SPELLINGS or any(
        _contradict(a, b) for a, b in combinations(patients, 2)
    )


def _contradict(a: Patient, b: Patient) -> bool:
    for mine, its in ((a.id, b.id), (a.birth, b.birth), (a.sex, b.sex)):
        if mine and its and mine != its:
            return True
    both = [(m, i) for m, i in zip(a.names, b.names, strict=True) if m and i]
    if _misplaced(a, b) or _misplaced(b, a):
        both = [(a.names[1], a.names[1]), *both[1:]]
    if not all(_alike(mine, its) for mine, its in both):
        return True
    known_by_id = a.id == b.id and (a.id != "" or a.names == b.names)
    return not known_by_id and not both


def _misplaced(a: Patient, b: Patient) -> bool:
    """Whether one writes where Latin letters belong what the other states as another group."""
    return a.names[0] != "" and b.names[0] != "" and a.names[0] in b.names[1:]


def _plain(stated: str) -> str:
    """Without blanks at the ends or doubled, in one case and one form of Unicode."""
    return " ".join(unicodedata.normalize("NFKC", stated.replace("\0", " ")).casefold().split())


def _name(group: str) -> str:
    """One group of a name, of which a title, trailing carets and padding are no part."""
    parts = [_plain(_repaired(part)) for part in group.split("^")]
    parts[_TITLE : _TITLE + 1] = [""] if parts[_TITLE:] else []
    return "^".join(parts).rstrip("^ ")


def _repaired(part: str) -> str:
    """UTF-8 that was read as Latin-1 because the file names no character set."""
    try:
        return part.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return part


def _alike(mine: str, its: str) -> bool:
    """The same letters but for accents, which archives drop, and what could not be decoded."""
    if mine == its:
        return True
    a, b = _letters(mine), _letters(its)
    if len(a) != len(b):
        return _UMLAUT.sub("", a) == _UMLAUT.sub("", b)
    return all(x == y or x in _UNREADABLE or y in _UNREADABLE for x, y in zip(a, b, strict=True))


def _letters(name: str) -> str:
    """Without accents, and without what stands between a name's parts."""
    decomposed = unicodedata.normalize("NFKD", name.replace("ø", "o"))
    return "".join(c for c in decomposed if c.isalnum() or c in _UNREADABLE)
