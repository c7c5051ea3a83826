"""Which series is read: the rules as data, and the reason why each other one was not.

Every rule gives a penalty; the lowest sum is read. A loser's reason is the rule that cost it most
against the winner.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from vfx_edge.errors import InputError
from vfx_edge.inputs.faults import damage, fault
from vfx_edge.inputs.headers import Slice
from vfx_edge.inputs.marks import LOOKED_FOR
from vfx_edge.inputs.modality import Modality
from vfx_edge.inputs.patients import Patient, different
from vfx_edge.inputs.scans import complete_each_other, stacks_of
from vfx_edge.inputs.stack import FEWEST_SLICES, STEEPEST_TILT, Stack
from vfx_edge.study import SkippedSeries

SMALLEST_EXTENT_MM = 30.0
FARTHEST_MM = 20.0
"""Between neighbouring slices: two vertebrae are some 25 mm apart."""
MIXED = "images of different patients under one series UID"
NOT_TOLD_APART = f"several scans of the same place that can't be told apart by any of {LOOKED_FOR}"

_DERIVED = {"DERIVED", "SECONDARY", "REFORMATTED", "MPR"}
_OTHER_PARTS = re.compile(r"HEAD|BRAIN|SKULL|SINUS|KNEE|FOOT|ANKLE|HAND|WRIST|ELBOW|EXTREM|LEG")


@dataclass(frozen=True)
class Rule:
    """0 is best; modality, and the longest z extent in the study. `because`: why a loser lost."""

    because: str
    penalty: Callable[[Stack, float, Modality], float]


def _thickness(stack: Stack) -> float:
    return max(stack.step_mm, stack.slices[0].thickness_mm or 0.0)


def _too_thick(stack: Stack, _longest: float, _modality: Modality) -> float:
    return float(np.interp(_thickness(stack), [1.0, 2.0, 3.0, 5.0, 10.0], [0, 3, 9, 30, 80]))


def _too_short(stack: Stack, longest: float, _modality: Modality) -> float:
    return 100.0 * (1 - min(1.0, float(stack.extent_mm[2]) / longest))


RULES = (
    Rule("no axial slices", lambda s, *_: 0.0 if s.plane == "axial" else 20.0),
    Rule("computed from other images", lambda s, *_: 12.0 if _DERIVED & _types(s) else 0.0),
    Rule("thicker slices", _too_thick),
    Rule("shows less of the body", _too_short),
    Rule("a lung or very sharp kernel", lambda s, _, m: 12.0 if noisy(s, m) else 0.0),
    Rule("another part of the body", lambda s, *_: 25.0 if _OTHER_PARTS.search(_part(s)) else 0.0),
    Rule("slices missing or unevenly spaced", lambda s, *_: 0.0 if s.even else 10.0),
    Rule("gantry tilt", lambda s, *_: 5.0 if s.sheared else 0.0),
    Rule("fewer slices", lambda s, *_: 1.0 / len(s.slices)),
)
"""Contrast medium is neutral: the networks are trained with and without."""


def noisy(stack: Stack, modality: Modality) -> bool:
    """Whether the reconstruction kernel makes noise that outshines bone."""
    kernel = modality.noisy_kernel
    return bool(kernel and kernel.search(stack.slices[0].kernel or ""))


def _uids(stack: Stack) -> set[str]:
    """Usually one: some anonymisers give each slice a series of its own."""
    return {s.series_uid for s in stack.slices}


def _types(stack: Stack) -> set[str]:
    return set(stack.slices[0].image_type)


def _part(stack: Stack) -> str:
    return stack.slices[0].body_part


class NoSeries(InputError):
    """Nothing in the input is a series of the modality wanted."""

    def __init__(self, name: str, modality: Modality, found: Iterable[str]) -> None:
        super().__init__(
            f"{name} holds no {modality.name} series that can be used (found: {'; '.join(found)}): "
            f"give the folder of a {modality.name} study with all its slices."
        )


class SeriesMissing(InputError):
    """The series asked for is not there, or can't be used."""

    def __init__(self, wanted: str, why: str, there: Iterable[str]) -> None:
        listed = ", ".join(sorted(set(there)))
        super().__init__(f"The series {wanted} {why}: choose one of those usable here ({listed}).")


@dataclass(frozen=True)
class Refusal:
    """A series, or part of one, that can't be read; `images` of it. broken: of the
    modality wanted, but damaged."""

    series_uid: str
    reason: str
    images: int
    broken: bool = False

    def __str__(self) -> str:
        return self.reason if self.images == 1 else f"{self.reason} ({self.images} images)"


@dataclass(frozen=True)
class Choice:
    """The stack to read, the series that were not taken, and what is odd about the input."""

    stack: Stack
    others: tuple[SkippedSeries, ...]
    warnings: tuple[str, ...]


Probe = Callable[[Stack, Modality], str | None]
"""Why a stack's pixels can't be this modality's, by a look at some of them; None: they can."""


@dataclass(frozen=True)
class Wanted:
    """What is looked for: a modality, and one series UID or None for the best series."""

    modality: Modality
    series_uid: str | None = None


def choose(
    slices: tuple[Slice, ...], wanted: Wanted, name: str, probe: Probe, damaged: int = 0
) -> Choice:
    """The best stack among the slices. name: of the input. NoSeries, SeriesMissing."""
    good, refused = _sifted(slices, wanted.modality)
    stacks = _fit_stacks(good, refused)
    best = _best(stacks, refused, wanted, probe)
    if best is None:
        raise _nothing(stacks, refused, wanted, name, damaged)
    longest = max(float(s.extent_mm[2]) for s in stacks)
    lost = [
        Refusal(_uid(s), _why_lost(s, best, longest, wanted), len(s.slices))
        for s in stacks
        if s is not best
    ]
    others = [SkippedSeries(r.series_uid, r.reason) for r in lost]
    others += [SkippedSeries(r.series_uid, str(r)) for r in refused]
    notes = (*_warnings(best, [*lost, *refused], slices), *_unread_pieces(best, stacks))
    return Choice(best, tuple(others), notes)


def _uid(stack: Stack) -> str:
    return stack.slices[0].series_uid


def _sifted(slices: tuple[Slice, ...], modality: Modality) -> tuple[list[Slice], list[Refusal]]:
    """Slices without a fault, and the others counted by series and fault."""
    good: list[Slice] = []
    bad: Counter[tuple[str, str, bool]] = Counter()
    mixed = _of_several_patients(slices)
    for slice_ in slices:
        name = MIXED if slice_.series_uid in mixed else fault(slice_, modality)
        if name is None:
            good.append(slice_)
        else:
            bad[slice_.series_uid, name, damage(slice_, modality) == name] += 1
    return good, [Refusal(uid, name, n, broken) for (uid, name, broken), n in bad.items()]


def _of_several_patients(slices: tuple[Slice, ...]) -> set[str]:
    """Series whose images name different patients: of whom a result would speak, nobody knows."""
    patients: dict[str, set[Patient]] = {}
    for s in slices:
        patients.setdefault(s.series_uid, set()).add(s.patient)
    return {uid for uid, named in patients.items() if different(named)}


def _fit_stacks(slices: list[Slice], refused: list[Refusal]) -> list[Stack]:
    """The stacks worth reading; the others go to `refused`."""
    fit = []
    for stack in stacks_of(slices):
        why = _unfit(stack)
        if why is None:
            fit.append(stack)
        else:
            refused.append(Refusal(_uid(stack), _told(stack, why), len(stack.slices)))
    return fit


def _told(stack: Stack, why: str) -> str:
    if not stack.told_by:
        return why
    return f"another scan in this series, told apart by {' and '.join(stack.told_by)}: {why}"


def _unfit(stack: Stack) -> str | None:
    """Why a stack is no volume worth reading."""
    count = len(stack.slices)
    if count < FEWEST_SLICES:
        return "a single slice" if count == 1 else "too few slices"
    if not stack.plain:
        return NOT_TOLD_APART
    if stack.extent_mm.min() < SMALLEST_EXTENT_MM:
        return f"only {stack.extent_mm.min():.0f} mm of the body"
    if stack.step_mm > FARTHEST_MM:
        return f"slices {stack.step_mm:.0f} mm apart"
    if stack.tilt > STEEPEST_TILT:
        return "slices that drift sideways more than any gantry tilts"
    return None


def _best(
    stacks: list[Stack], refused: list[Refusal], wanted: Wanted, probe: Probe
) -> Stack | None:
    """The stack of the lowest penalty that can be read; takes the others from `stacks`."""
    longest = max((float(s.extent_mm[2]) for s in stacks), default=0.0)
    pool = sorted(
        (s for s in stacks if wanted.series_uid in (None, *_uids(s))),
        key=lambda s: (_total(s, longest, wanted.modality), _uid(s)),
    )
    for stack in pool:
        why = probe(stack, wanted.modality)
        if why is None:
            return stack
        stacks.remove(stack)
        refused.append(Refusal(_uid(stack), why, len(stack.slices)))
    return None


def _total(stack: Stack, longest: float, modality: Modality) -> float:
    return sum(rule.penalty(stack, longest, modality) for rule in RULES)


def _why_lost(stack: Stack, best: Stack, longest: float, wanted: Wanted) -> str:
    if wanted.series_uid not in (None, *_uids(stack)):
        return "another series was asked for"
    mine, its = (
        [rule.penalty(s, longest, wanted.modality) for rule in RULES] for s in (stack, best)
    )
    gain = [(a - b, rule.because) for a, b, rule in zip(mine, its, RULES, strict=True)]
    worst, because = max(gain)
    if stack.told_by and _uids(stack) & _uids(best):
        return _told(stack, because if worst > 0 else "of equals the first is read")
    return because if worst > 0 else "as good as the one taken"


def _warnings(best: Stack, refused: list[Refusal], slices: tuple[Slice, ...]) -> tuple[str, ...]:
    counts: Counter[tuple[str, bool]] = Counter()
    for refusal in refused:
        if refusal.series_uid in _uids(best):
            counts[refusal.reason, refusal.broken] += refusal.images
    notes: list[str] = []
    for (reason, broken), images in counts.items():
        what = "damaged image(s)" if broken else "image(s)"
        notes.append(f"{images} {what} of the same series left out: {reason}.")
    if different({s.patient for s in slices}):
        notes.append("The input holds more than one patient: only the series named here was read.")
    elif len({s.study_uid for s in slices}) > 1:
        notes.append("The input holds more than one study: only the series named here was read.")
    return tuple(notes)


def _unread_pieces(best: Stack, stacks: list[Stack]) -> tuple[str, ...]:
    pieces = [s for s in stacks if not _uids(s) & _uids(best) and complete_each_other(best, s)]
    if not pieces:
        return ()
    images = sum(len(s.slices) for s in pieces)
    note = (
        f"{images} image(s) of {len(pieces)} other series of the study lie on the same grid and "
        "were not read: if all are one scan, send it under one series UID."
    )
    return (note,)


def _nothing(
    stacks: list[Stack], refused: list[Refusal], wanted: Wanted, name: str, damaged: int
) -> InputError:
    if wanted.series_uid is not None and stacks:
        mine = next((r.reason for r in refused if r.series_uid == wanted.series_uid), None)
        why = "is not in the input" if mine is None else f"can't be used (found: {mine})"
        return SeriesMissing(wanted.series_uid, why, map(_uid, stacks))
    counts: Counter[str] = Counter()
    for refusal in refused:
        counts[refusal.reason] += refusal.images
    found = [str(Refusal("", reason, n)) for reason, n in counts.most_common(4)]
    found += [f"{damaged} damaged DICOM file(s)"] if damaged else []
    return NoSeries(name, wanted.modality, found)
