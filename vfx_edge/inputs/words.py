"""What of a header's free text may be shown: words of a closed list, and nothing else.

People type names, dates and numbers into any text of a header, however it is spelled or glued
together, so no search for names finds them all. What is shown is therefore what is known to be
harmless: anatomy, contrast phases, orientation, kernels, thicknesses (`shown_words.toml`).
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import pairwise

from pydicom.config import IGNORE
from pydicom.uid import UID

from vfx_edge.inputs.facts import Facts, items, parsed, text

_LONGEST = 64
_APART = re.compile(r"[^\w.,%+]|_|\+(?=\w)|(?<=[^\W\d])[.,]|[.,](?=[^\W\d])")
_ANY_CASE = re.IGNORECASE | re.ASCII
_KERNEL = re.compile(
    r"[BHUIJTDSQ][a-z]?[1-9]\d[a-z]?(_[1-5])?"  # Siemens: B31f, Br40d, I70f_3
    r"|FC\d{2}[a-z]?"  # Canon: FC08
    r"|IMR\d|iDose\d",  # Philips
    _ANY_CASE,
)
_STRENGTH = re.compile(r"[1-5]", re.ASCII)
"""The second value of an iterative Siemens kernel."""
_LEVELS = re.compile(r"C[1-7]|TH?([1-9]|1[0-3])|L[1-6]|S[1-5]|[BHL]W[KS]?([1-9]|1[0-3])", _ANY_CASE)
_THICKNESS = re.compile(r"(\d|1\d|20)([.,](\d|00|1[3-9]|[2-9]\d|375|625|875)(mm)?|mm)", _ANY_CASE)
"""With no month behind the point: 12.03 is a date."""
_NUMBER_OF_MM = re.compile(r"\d|1\d|20", re.ASCII)
_PHASE = re.compile(r"\d{1,2}%", re.ASCII)
_PEOPLE = """
PatientName PatientID PatientBirthDate OtherPatientIDs OtherPatientNames PatientBirthName
PatientMotherBirthName PatientAddress IssuerOfPatientID ReferringPhysicianName
PerformingPhysicianName OperatorsName NameOfPhysiciansReadingStudy PhysiciansOfRecord
RequestingPhysician ResponsiblePerson InstitutionName InstitutionalDepartmentName AccessionNumber
StudyID ConsultingPhysicianName ScheduledPerformingPhysicianName NamesOfIntendedRecipientsOfResults
ContentCreatorName InterpretationAuthor InterpretationRecorder InterpretationTranscriber
"""
TYPED = (*_PEOPLE.split(), "OtherPatientIDsSequence", "SeriesDescription", "ConvolutionKernel")
"""What is read of a header to show its texts, and to know the persons in them."""


@dataclass(frozen=True)
class Typed:
    """What people typed into a header: never shown but through the list.

    people: names, numbers and addresses. A word of the list that is a part of them is a name there
    (a patient called Herz), and is not shown either.
    """

    description: str = field(default="", repr=False)
    kernel: tuple[str, ...] = field(default=(), repr=False)
    people: tuple[str, ...] = field(default=(), repr=False)


def description_and_kernel(texts: Sequence[Typed]) -> tuple[str, str | None]:
    """What may be shown of the first one's description and kernel; the persons of none of them."""
    personal = personal_words({name for one in texts for name in one.people})
    first = texts[0]
    return shown(first.description, personal), kernel_shown(first.kernel, personal)


def typed(where: Sequence[Facts]) -> Typed:
    """The texts of a header; `where`: what to look in, the most specific first."""
    facts = where[-1]
    people = [text(facts, keyword) for keyword in _PEOPLE.split()]
    for item in items(facts, "OtherPatientIDsSequence"):
        people.append(text(parsed(item), "PatientID"))
    kernel = next((v for f in where if (v := f.get("ConvolutionKernel"))), ())
    return Typed(
        text(facts, "SeriesDescription"),
        (kernel,) if isinstance(kernel, str) else tuple(map(str, kernel)),
        tuple(filter(None, people)),
    )


def shown(words: str, personal: frozenset[str]) -> str:
    """The words of a text that are on the list and belong to no person of the same file.

    A number is shown as a thickness only, and not beside a number that is not shown: that would be
    a date or a telephone number in pieces.
    """
    stated = [word for word in _APART.split(_plain(words)) if word]
    allowed = [_allowed(word, after) for word, after in pairwise([*stated, ""])]
    kept: list[str] = []
    for at, (word, fine) in enumerate(zip(stated, allowed, strict=True)):
        beside = [n for n in (at - 1, at + 1) if 0 <= n < len(stated)]
        torn = _has_digit(word) and any(_has_digit(stated[n]) and not allowed[n] for n in beside)
        alone = word.casefold() == "mm" and not (kept and kept[-1] == stated[at - 1])
        if fine and not torn and not alone and not _names_someone(word, personal):
            kept.append(word)
    return " ".join(kept)[:_LONGEST].strip()


def kernel_shown(values: Iterable[str], personal: frozenset[str]) -> str | None:
    """A kernel as the scanners' makers name them; None for anything else."""
    words = [word for value in values for word in _plain(value).split()]
    for word in words:
        known = _KERNEL.fullmatch(word) or word.casefold() in _table("kernel_names")
        if not known and not (len(words) > 1 and _STRENGTH.fullmatch(word)):
            return None
        if any(_names_someone(part, personal) for part in (word, *_APART.split(word))):
            return None
    return " ".join(words)[:32] or None


def personal_words(texts: Iterable[str]) -> frozenset[str]:
    """The parts of what identifies a person, as words are compared with them."""
    stated = [_plain(one) for one in texts]
    parts = {folded(part) for one in stated for part in re.split(r"[\W_]+", one)}
    return frozenset((parts | set(map(folded, stated))) - {""})


def folded(word: str) -> str:
    """The word as it is compared with names: Müller, MUELLER and Muller are one."""
    apart = unicodedata.normalize("NFKD", word.casefold().replace("ß", "ss"))
    letters = "".join(c for c in apart if c.isalnum())
    return letters.replace("ae", "a").replace("oe", "o").replace("ue", "u")


def modality_shown(modality: str) -> str:
    """The modality in a sentence: what the standard has no term for is not repeated."""
    return f"modality {modality}" if modality in _table("modalities") else "an unknown modality"


def syntax_shown(uid: str) -> str:
    """A transfer syntax' UID, where DICOM has it."""
    return uid if _is_syntax(uid) else "an unknown transfer syntax"


def syntax_name(uid: str) -> str:
    """A transfer syntax in DICOM's words, where it has some."""
    return UID(uid, IGNORE).name if _is_syntax(uid) else syntax_shown(uid)


def _is_syntax(uid: str) -> bool:
    return UID(uid, IGNORE).type == "Transfer Syntax"


def _allowed(word: str, after: str) -> bool:
    if any(form.fullmatch(word) for form in (_THICKNESS, _PHASE, _LEVELS)):
        return True
    if _NUMBER_OF_MM.fullmatch(word):  # "5 mm"
        return after.casefold() == "mm"
    return bool(_KERNEL.fullmatch(word)) or word.casefold() in _words()


def _names_someone(word: str, personal: frozenset[str]) -> bool:
    """Whether the word is a part of a name, or a piece of one ("Liver" of Livermore)."""
    found = folded(word)
    return found in personal or (len(found) > 2 and any(found in part for part in personal))


def _has_digit(word: str) -> bool:
    return any(c.isdigit() for c in word)


def _plain(words: str) -> str:
    """Composed letters, without characters that can't be seen."""
    composed = unicodedata.normalize("NFKC", words)
    return "".join(c if c.isprintable() else " " for c in composed)


@cache
def _tables() -> dict[str, str]:
    table = files("vfx_edge.inputs").joinpath("shown_words.toml").read_text(encoding="utf-8")
    return tomllib.loads(table)


@cache
def _table(name: str) -> frozenset[str]:
    return frozenset(_tables()[name].split())


@cache
def _words() -> frozenset[str]:
    """Every word that a description may be shown with."""
    kinds = ("modality", "anatomy", "phase", "orientation", "kernel", "technique")
    return frozenset().union(*map(_table, kinds))
