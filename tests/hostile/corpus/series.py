"""Who and which: patients, names, UIDs, and other things in the same folder."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from tests.hostile.corpus.case import BASE, Base, Case, Make, Outcome, Reads, Refused, write
from tests.hostile.corpus.codes import plane_of
from tests.hostile.corpus.edits import Edit, each, put, raw

TWO = Refused("different patients|more than one patient")


def _in_turn(first: Edit, second: Edit) -> Make:
    """Every other slice otherwise."""
    return each(lambda one, index: (second if index % 2 else first)(one, index))


def _named(first: str, second: str, charset: str = "ISO_IR 192", **more: object) -> Make:
    def name(text: str) -> Edit:
        return put(SpecificCharacterSet=charset, PatientName=text, PatientID="4711", **more)

    return _in_turn(name(first), name(second))


def _two_charsets() -> Make:
    def edit(charset: str, encoded: bytes) -> Edit:
        change, name = (
            put(SpecificCharacterSet=charset, PatientID="4711"),
            raw("PatientName", encoded),
        )

        def both(one: Dataset, index: int) -> None:
            change(one, index)
            name(one, index)

        return both

    text = "Müller^Änne"
    return _in_turn(edit("ISO_IR 192", text.encode()), edit("ISO_IR 100", text.encode("latin-1")))


PATIENTS: dict[str, tuple[Make, tuple[Outcome, ...]]] = {
    "trailing carets": (_named("Miller^Anna", "Miller^Anna^^^"), (BASE,)),
    "upper case": (_named("Miller^Anna", "MILLER^ANNA"), (BASE,)),
    "blanks": (_named("Miller^Anna", " Miller ^Anna "), (BASE,)),
    "a name missing": (_named("Miller^Anna", ""), (BASE,)),
    "groups of ideographs": (
        _named("Yamada^Tarou=山田^太郎", "Yamada^Tarou=山田^太郎=やまだ^たろう"), (BASE,),
    ),
    "two character sets": (_two_charsets(), (BASE,)),
    "an id with blanks": (
        _in_turn(raw("PatientID", b" 4711"), raw("PatientID", b"4711 ")), (BASE,),
    ),
    "two ids": (_in_turn(put(PatientID="4711"), put(PatientID="0815")), (TWO,)),
    "two names without an id": (
        _in_turn(put(PatientID="", PatientName="Miller^Anna"),
                 put(PatientID="", PatientName="Smith^John")), (TWO,),
    ),
    "one slice of another patient": (
        each(lambda one, i: put(PatientID="0815" if i == 7 else "4711")(one, i)),
        (TWO, Reads(like=None, warns="patient")),
    ),
}  # fmt: skip


def other_series(change: Callable[[Dataset], None]) -> Make:
    """The base beside another series, which is the base with something changed."""

    def make(base: Base, folder: Path) -> Path:
        other = base.slices()
        uid = generate_uid()
        for one in other:
            one.SeriesInstanceUID = uid
            one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            change(one)
        write(folder / "in" / "b", other)
        write(folder / "in" / "a", base.slices())
        return folder / "in"

    return make


def _thicker(one: Dataset) -> None:
    one.SliceThickness = "10"


def _screenshot(one: Dataset) -> None:
    one.SOPClassUID = UID("1.2.840.10008.5.1.4.1.1.7")


def _mask_as_ct(one: Dataset) -> None:
    """A mask stored as CT Image Storage with Modality SEG."""
    one.Modality = "SEG"
    one.PixelData = (plane_of(one) > 1200).astype(np.uint16).tobytes()


def _mask_that_says_ct(one: Dataset) -> None:
    one.PixelData = (1024 + (plane_of(one) > 1200) * 20).astype(np.uint16).tobytes()


def _no_intercept(one: Dataset) -> None:
    del one.RescaleIntercept, one.RescaleSlope


OTHERS: dict[str, tuple[Callable[[Dataset], None], str]] = {
    "thicker slices": (_thicker, "thicker slices"),
    "a screen shot's class": (_screenshot, "secondary capture"),
    "a mask": (_mask_as_ct, "a segmentation|of modality SEG"),
    "a mask that says CT": (_mask_that_says_ct, "mask or an overlay|as good as|computed|intercept"),
    "no intercept": (_no_intercept, "intercept|as good as"),
    "a scout": (lambda one: put(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])(one, 0), "scout"),
    "a head": (lambda one: put(BodyPartExamined="HEAD")(one, 0), "another part of the body"),
    "an MR": (lambda one: put(Modality="MR")(one, 0), "modality MR"),
    "no geometry": (lambda one: put(ImagePositionPatient=None)(one, 0), "position"),
    "a lung kernel": (lambda one: put(ConvolutionKernel="LUNG")(one, 0), "kernel"),
    "a derived one": (
        lambda one: put(ImageType=["DERIVED", "SECONDARY", "AXIAL"])(one, 0), "other images",
    ),
    "another patient's": (lambda one: put(PatientID="0815", StudyInstanceUID="1.2.3")(one, 0), "."),
}  # fmt: skip
"""What lies beside the base, and why it is not taken."""


def _each_its_series(base: Base, folder: Path) -> Path:
    slices = base.slices()
    for one in slices:
        one.SeriesInstanceUID = generate_uid()
    return write(folder / "in", slices)


def _mask_alone(change: Callable[[Dataset], None]) -> Make:
    return each(lambda one, _: change(one))


def cases() -> Iterator[Case]:
    for name, (make, outcomes) in PATIENTS.items():
        yield Case("series", f"patient: {name}", make, outcomes)
    for name, (change, why) in OTHERS.items():
        yield Case("series", f"beside {name}", other_series(change), (Reads(warns=why),))
    alone = Refused("segmentation|modality SEG")
    yield Case("series", "a mask as CT alone", _mask_alone(_mask_as_ct), (alone,))
    said = Refused("mask or an overlay|no CT|intercept")
    yield Case("series", "a mask that says CT alone", _mask_alone(_mask_that_says_ct), (said,))
    single = (BASE, Refused("single slice|one series|too few"))
    yield Case("series", "a series UID a slice", _each_its_series, single)
