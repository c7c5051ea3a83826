"""Whether what came of a case is right."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from tests.hostile.corpus.case import Case, Outcome, Reads, Refused
from vfx_edge.errors import VfxError
from vfx_edge.study import Scan

SECRET = re.compile(r"SECRET|PERSON\b|4711|0815|Miller|Müller|Yamada|山田")
"""What stands in the corpus for a patient's name; no sentence may hold it."""
ASIDE_VOXELS = 4
MOST_PHASES = 12


@dataclass(frozen=True)
class Came:
    """What came of a case: a refusal's code and sentence, or code 0 and what was read.

    said: warnings, reasons why other series were not taken, and texts from the header.
    scan: None where none was compared.
    """

    code: int
    sentence: str = ""
    said: tuple[str, ...] = ()
    scan: Scan | None = None


def refused(error: VfxError) -> Came:
    """As the command would end."""
    return Came(error.exit_code, str(error))


def read(scan: Scan) -> Came:
    """A scan, and what is told of it."""
    series = scan.series
    texts = (series.description or "", series.kernel or "")
    return Came(
        0, said=(*series.warnings, *(other.reason for other in series.others), *texts), scan=scan
    )


def wrong(case: Case, came: Came, base: Scan) -> list[str]:
    """What is wrong with it; empty where one of the case's outcomes came."""
    found = [f"a name is shown: {said!r}" for said in (came.sentence, *came.said)
             if SECRET.search(said) and not SECRET.search(str(case.words))]  # fmt: skip
    if came.code:
        found += sentence_faults(came.sentence)
    against = [_against(outcome, came, base) for outcome in case.outcomes]
    if all(against):
        found += [f"wanted {' or '.join(map(str, case.outcomes))}; {'; '.join(against)}"]
    return found


def sentence_faults(sentence: str) -> list[str]:
    """What a refusal's sentence must not be."""
    faults = []
    if "\n" in sentence.strip() or not sentence.strip():
        faults.append(f"not one line: {sentence!r}")
    if "Traceback" in sentence:
        faults.append("a traceback")
    if not re.search(r"[:;]", sentence):
        faults.append(f"does not end in what to do: {sentence!r}")
    return faults


def _against(outcome: Outcome, came: Came, base: Scan) -> str:
    """Why the outcome is not this one; empty where it is."""
    if isinstance(outcome, Refused):
        if came.code != outcome.code:
            said = came.sentence or f"read, {list(came.said)}"
            return f"exit code {came.code}, not {outcome.code} ({said[:300]})"
        held = re.search(outcome.says, came.sentence)
        return "" if held else f"{outcome.says!r} is not in {came.sentence[:300]!r}"
    if came.code:
        return f"refused: {came.sentence[:300]}"
    if outcome.warns and not _any(outcome.warns, came.said):
        return f"no warning of {outcome.warns!r} in {list(came.said)}"
    return _differs(outcome, came.scan, base) if came.scan is not None else ""


def _any(pattern: str, texts: Iterable[str]) -> bool:
    return any(re.search(pattern, text) for text in texts)


def _differs(outcome: Reads, scan: Scan, base: Scan) -> str:
    """How the image is not the one wanted."""
    image, wanted = scan.image, base.image
    if not np.isfinite(image.affine_zyx_to_lps).all():
        return "places that are no numbers"
    if outcome.like is None:
        return ""
    if image.values.shape != wanted.values.shape:
        return f"{image.values.shape} voxels, not {wanted.values.shape}"
    off = np.abs(image.affine_zyx_to_lps - wanted.affine_zyx_to_lps).max()
    if off > 1e-2:
        return f"places {off:.3g} mm off"
    kept = np.ones(len(wanted.values), bool)
    kept[list(outcome.but_for)] = False
    shifts = range(MOST_PHASES) if outcome.like == "phase" else (0,)
    worst = [
        int(np.abs(image.values[kept].astype(int) - _aside(wanted.values, shift)[kept]).max())
        for shift in shifts
    ]
    return "" if min(worst) == 0 else f"HU differ by up to {min(worst)}"


def _aside(values: "np.ndarray", phase: int) -> "np.ndarray":
    """The base as the phantom's patient lies in a later phase."""
    return np.roll(values, (ASIDE_VOXELS * phase, ASIDE_VOXELS * phase), (1, 2))
