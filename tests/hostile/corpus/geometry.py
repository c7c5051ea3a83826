"""Where slices lie: order, gaps, doubles, tilt, several scans and phases under one series."""

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.hostile.corpus.case import (
    BASE,
    MIDDLE,
    READ,
    SLICES,
    Base,
    Case,
    Make,
    Outcome,
    Reads,
    Refused,
    write,
)
from tests.hostile.corpus.codes import plane_of
from tests.hostile.corpus.edits import put

DOUBLE = "same place|told apart|phases"
Rearrange = Callable[[list[Dataset]], Sequence[Dataset]]


def _rearranged(change: Rearrange) -> Make:
    return lambda base, folder: write(folder / "in", change(base.slices()))


def _at(one: Dataset, index: int, value: float) -> None:
    """Another coordinate of the first pixel."""
    place = [str(v) for v in one.ImagePositionPatient]
    place[index] = f"{value:.6g}"
    one.ImagePositionPatient = place


def _z(one: Dataset) -> float:
    return float(one.ImagePositionPatient[2])


def _moved(change: Callable[[float, int], float], axis: int = 2) -> Rearrange:
    """Every slice's coordinate as a function of the old one and the slice's number."""

    def rearrange(slices: list[Dataset]) -> list[Dataset]:
        for index, one in enumerate(slices):
            _at(one, axis, change(float(one.ImagePositionPatient[axis]), index))
        return slices

    return rearrange


def _new(one: Dataset) -> Dataset:
    """The same slice as another object."""
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return one


def _shuffled(slices: list[Dataset]) -> list[Dataset]:
    random.Random(5).shuffle(slices)
    for number, one in enumerate(slices):
        one.InstanceNumber = number + 1
    return slices


def _reversed_numbers(slices: list[Dataset]) -> list[Dataset]:
    for number, one in enumerate(slices):
        one.InstanceNumber, one.SliceLocation = SLICES - number, -number
    return slices[::-1]


def _upside_down_orientation(slices: list[Dataset]) -> list[Dataset]:
    """The same patient, rows stored from the back to the front."""
    for one in slices:
        last = float(one.ImagePositionPatient[1]) + 6.0 * (one.Rows - 1)
        _at(one, 1, last)
        one.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]
        one.PixelData = plane_of(one)[::-1].tobytes()
    return slices


def _mirrored_orientation(slices: list[Dataset]) -> list[Dataset]:
    for one in slices:
        _at(one, 0, float(one.ImagePositionPatient[0]) + 6.0 * (one.Columns - 1))
        one.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
        one.PixelData = plane_of(one)[:, ::-1].tobytes()
    return slices


def _without(*which: int) -> Rearrange:
    return lambda slices: [one for index, one in enumerate(slices) if index not in which]


def _other_size(slices: list[Dataset]) -> list[Dataset]:
    """One slice of another matrix."""
    one = slices[MIDDLE]
    one.PixelData = plane_of(one)[:32, :32].tobytes()
    one.Rows = one.Columns = 32
    return slices


def _other_plane(slices: list[Dataset]) -> list[Dataset]:
    slices[MIDDLE].ImageOrientationPatient = [1, 0, 0, 0, 0, -1]
    return slices


def _alternating(first: Callable[[Dataset], None], second: Callable[[Dataset], None]) -> Rearrange:
    """Every other slice otherwise."""

    def rearrange(slices: list[Dataset]) -> list[Dataset]:
        for index, one in enumerate(slices):
            (second if index % 2 else first)(one)
        return slices

    return rearrange


def _set(**values: object) -> Callable[[Dataset], None]:
    return lambda one: put(**values)(one, 0)


def _counted(keyword: str, value: Callable[[int], object]) -> Rearrange:
    """Every slice its own value."""

    def rearrange(slices: list[Dataset]) -> list[Dataset]:
        for number, one in enumerate(slices):
            setattr(one, keyword, value(number))
        return slices

    return rearrange


def phases(*tell: Callable[[Dataset, int], None], count: int = 2) -> Make:
    """Each place `count` times, the patient 4 voxels aside in each further phase."""

    def make(base: Base, folder: Path) -> Path:
        made = []
        for phase in range(count):
            for index, one in enumerate(base.slices()):
                moved = np.roll(plane_of(one), (4 * phase, 4 * phase), (0, 1))
                one.PixelData = np.ascontiguousarray(moved).tobytes()
                one.InstanceNumber = index + 1
                for edit in tell:
                    edit(one, phase)
                made.append(_new(one))
        random.Random(2).shuffle(made)
        return write(folder / "in", made)

    return make


PHASES: dict[str, Callable[[Dataset, int], None]] = {
    "TemporalPositionIdentifier": lambda one, p: setattr(one, "TemporalPositionIdentifier", p + 1),
    "NominalPercentageOfCardiacPhase": lambda one, p: setattr(
        one, "NominalPercentageOfCardiacPhase", 40 * p
    ),
    "TriggerTime": lambda one, p: setattr(one, "TriggerTime", 300 * p),
    "AcquisitionNumber": lambda one, p: setattr(one, "AcquisitionNumber", p + 1),
    "AcquisitionTime": lambda one, p: setattr(one, "AcquisitionTime", f"12{10 + p}00"),
    "ContentTime": lambda one, p: setattr(one, "ContentTime", f"12{10 + p}00"),
    "AcquisitionDateTime": lambda one, p: setattr(
        one, "AcquisitionDateTime", f"2026010112{10 + p}00"
    ),
}
"""What tells phases apart."""

ORDERS: dict[str, tuple[Rearrange, tuple[Outcome, ...]]] = {
    "any order, numbers at odds": (_shuffled, (BASE,)),
    "numbers and locations backwards": (_reversed_numbers, (BASE,)),
    "numbers all one": (_alternating(_set(InstanceNumber=1), _set(InstanceNumber=1)), (BASE,)),
    "rows from back to front": (_upside_down_orientation, (BASE,)),
    "columns from left to right": (_mirrored_orientation, (BASE,)),
    "every file twice": (lambda s: [*s, *s], (Reads(warns="more than once"),)),
    "every slice twice as another object": (
        lambda s: [*s, *map(_copy_of, s)],
        (Refused(DOUBLE), Reads(warns="dropped|same|twice")),
    ),
    "one slice twice as another object": (
        lambda s: [*s, _copy_of(s[MIDDLE])],
        (Reads(warns="dropped|same place|more than once"),),
    ),
    "one UID for all": (
        _alternating(_set(SOPInstanceUID="1.2.3"), _set(SOPInstanceUID="1.2.3")),
        (BASE,),
    ),
    "one missing": (_without(MIDDLE), (Reads(warns="missing", but_for=(MIDDLE,)),)),
    "three missing": (
        _without(11, 12, 13),
        (Reads(warns="missing|too wide", but_for=(11, 12, 13)),),
    ),
    "every other one missing": (lambda s: s[::2], (READ,)),
    "40 mm apart in the middle": (
        _moved(lambda z, i: z + (60 if i > MIDDLE else 0)),
        (Reads(like=None, warns="left out|less of the body|gap|missing"),),
    ),
    "distances from 1 to 9 mm": (
        _moved(lambda z, i: z + 2.5 * (i % 3 - 1)),
        (Reads(like=None, warns="unevenly"), Refused(DOUBLE)),
    ),
    "gantry tilt of 20 degrees": (
        _moved(lambda y, i: y + 6 * i * 0.364, axis=1),
        (Reads(like=None, warns="gantry was tilted"),),
    ),
    "drift of 45 degrees": (_moved(lambda y, i: y + 6.0 * i, axis=1), (Refused("drift sideways"),)),
    "noise in the places": (_moved(lambda z, i: z + 1e-4 * (-1) ** i), (BASE, READ)),
    "one slice of another size": (
        _other_size,
        (Reads(warns="left out|size|single", but_for=(MIDDLE,)),),
    ),
    "one slice of another plane": (
        _other_plane,
        (Reads(warns="left out|single|plane", but_for=(MIDDLE,)),),
    ),
    "one slice": (lambda s: s[:1], (Refused("single slice|too few"),)),
    "two slices": (lambda s: s[:2], (Refused("too few slices"),)),
    "three slices": (lambda s: s[:3], (Refused("mm of the body|too few"),)),
    "slices 1 mm apart in 25 mm": (
        _moved(lambda z, i: i * 1.0),
        (Refused("mm of the body"),),
    ),
    "slices 300 mm apart": (
        _moved(lambda z, i: i * 300.0),
        (Refused("single|too few|apart|can't be used"),),
    ),
    "places beyond a scanner": (_moved(lambda z, i: z + 99_000), (READ,)),
    "spacing differs behind the comma": (
        _alternating(_set(PixelSpacing=["6.0000004", "6"]), _set(PixelSpacing=["5.9999996", "6"])),
        (BASE,),
    ),
    "spacing on both sides of a rounding edge": (
        _alternating(_set(PixelSpacing=["6.0005", "6"]), _set(PixelSpacing=["6.00049", "6"])),
        (READ,),
    ),
    "orientation differs behind the comma": (
        _alternating(_set(ImageOrientationPatient=[1, 0, 0, 0, 1, "1e-9"]), _set()),
        (BASE,),
    ),
    "a frame of reference each": (
        _counted("FrameOfReferenceUID", lambda _: generate_uid()),
        (BASE,),
    ),
    "two frames of reference": (
        _alternating(_set(FrameOfReferenceUID="1.2.3"), _set(FrameOfReferenceUID="1.2.4")),
        (BASE,),
    ),
    "a word more in ImageType": (
        _alternating(_set(), _set(ImageType=["ORIGINAL", "PRIMARY", "AXIAL", "HELIX"])),
        (BASE,),
    ),
    "half of ImageType derived": (
        _alternating(_set(), _set(ImageType=["DERIVED", "PRIMARY", "AXIAL"])),
        (BASE, Reads(like=None, warns="left out|ImageType")),
    ),
    "a kernel missing in some": (
        _alternating(_set(), _set(ConvolutionKernel=None)),
        (BASE,),
    ),
    "a kernel with a word more": (
        _alternating(_set(), _set(ConvolutionKernel="PHANTOM PLUS")),
        (BASE, Reads(like=None, warns="left out|kernel")),
    ),
    "rescale missing in some": (
        _alternating(_set(), _set(RescaleSlope=None, RescaleIntercept=None, RescaleType=None)),
        (Refused("rescale|can't be used"), Reads(like=None, warns="left out.*rescale|rescale")),
    ),
    "an acquisition number a slice": (
        _counted("AcquisitionNumber", lambda n: n),
        (BASE,),
    ),
    "an acquisition time a slice": (
        _counted("AcquisitionTime", lambda n: f"12{n:02d}00"),
        (BASE,),
    ),
}


def _copy_of(one: Dataset) -> Dataset:
    return _new(copy.deepcopy(one))


def cases() -> Iterator[Case]:
    for name, (change, outcomes) in ORDERS.items():
        yield _case(name, _rearranged(change), *outcomes)
    one_phase = (Reads(like="phase"), Refused(DOUBLE))
    for name, tell in PHASES.items():
        yield _case(f"two phases by {name}", phases(tell), *one_phase)
        yield _case(f"three phases by {name}", phases(tell, count=3), *one_phase)
    yield _case("two phases by nothing", phases(), Refused(DOUBLE))
    yield _case("eleven phases", phases(PHASES["TemporalPositionIdentifier"], count=11), *one_phase)


def _case(name: str, make: Make, *outcomes: Outcome) -> Case:
    return Case("geometry", name, make, outcomes)
