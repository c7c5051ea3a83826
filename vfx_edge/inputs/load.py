"""The way in: a path -> the one scan that is analysed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vfx_edge.errors import InputError
from vfx_edge.image import Image
from vfx_edge.inputs.bounded import is_dicom
from vfx_edge.inputs.build import Built, build
from vfx_edge.inputs.choose import Choice, Wanted, choose
from vfx_edge.inputs.clinical import of_header
from vfx_edge.inputs.codestream import RLE
from vfx_edge.inputs.decoders import Decoders, decoders
from vfx_edge.inputs.files import Listing, Source, listed
from vfx_edge.inputs.headers import DECODABLE, Slice, Unusable, read_headers
from vfx_edge.inputs.modality import CT, Modality
from vfx_edge.inputs.nifti_file import is_nifti
from vfx_edge.inputs.pixels import probe
from vfx_edge.inputs.words import description_and_kernel
from vfx_edge.parallel import delayed_interrupt
from vfx_edge.quiet import quiet
from vfx_edge.study import Plane, Scan, SeriesInfo

Progress = Callable[[str], None]


class NothingThere(InputError):
    """The path holds no DICOM file at all."""

    def __init__(self, name: str, files: int) -> None:
        what = f"none of its {files} files is DICOM" if files > 1 else "no DICOM file is there"
        super().__init__(f"{name} can't be used ({what}): give the folder of a CT study.")


class AllDamaged(InputError):
    """DICOM was there, but none could be read."""

    def __init__(self, name: str, first: Unusable, count: int) -> None:
        super().__init__(
            f"{name} holds only damaged DICOM files ({count}, the first is {first.name}: "
            f"{first.why}): send the series again."
        )
        self.names = (first.name,)


def load_scan(
    path: Path,
    series_uid: str | None = None,
    progress: Progress | None = None,
    modality: Modality = CT,
) -> Scan:
    """The scan at `path`: a folder (any depth and mix), an enhanced file, a .zip of either, a
    disc's DICOMDIR, or, of a CT, a .nii/.nii.gz.

    The image's values: (z, y, x) int16, C-contiguous; of a CT Hounsfield units, -1024..3071.
    `series_uid`: read this series instead of choosing one. Raises InputError where nothing usable
    is there.
    """
    path = Path(path)
    say: Progress = progress or (lambda _line: None)
    with quiet(), listed(path) as listing:
        if _is_nifti(listing.files):
            with delayed_interrupt():
                from vfx_edge.inputs.nifti import load_nifti

            return load_nifti(listing.files[0].path, series_uid)
        with decoders() as processes:
            return _load_dicom(listing, Wanted(modality, series_uid), say, processes)


def _is_nifti(files: tuple[Source, ...]) -> bool:
    """Whether the input is one NIfTI file: by what it holds. One that is named so, but holds
    nothing known, is told so."""
    if len(files) != 1:
        return False
    named = files[0].name.lower().endswith((".nii", ".nii.gz"))
    return is_nifti(files[0].path) or (named and not is_dicom(files[0].path))


def _load_dicom(listing: Listing, wanted: Wanted, say: Progress, processes: Decoders) -> Scan:
    name = listing.root.name or str(listing.root)
    say(f"reading the headers of {len(listing.files)} files")
    slices, unusable = _headers(listing.files, wanted.modality, processes)
    damaged = [u for u in unusable if u.damaged]
    if not slices and damaged:
        raise AllDamaged(name, damaged[0], len(damaged))
    if not slices:
        raise NothingThere(name, len(listing.files))
    choice = choose(slices, wanted, name, probe, len(damaged))
    del slices
    say(f"reading {len(choice.stack.slices)} slices")
    built = build(choice.stack, wanted.modality)
    ordered = _ordered(built)
    notes = [f"{len(damaged)} damaged DICOM file(s) were passed over."] if damaged else []
    if listing.unreadable:
        notes.append(f"{len(listing.unreadable)} folder(s) of the input could not be opened.")
    if listing.missing:
        notes.append(f"{listing.missing} file(s) that the disc's directory names are not there.")
    return Scan(
        image=Image(
            built.values, built.affine, wanted.modality.name, wanted.modality.unit, built.valid
        ),
        series=_info(choice, built, wanted.modality, tuple(notes)),
        sources=_sources(ordered),
        planes=tuple(_plane(s) for s in ordered if s.frame is None),
        frame_of_reference=built.stack.slices[0].frame_of_reference,
        clinical=of_header(built.stack.slices[0].age, built.stack.slices[0].patient.sex),
    )


def _headers(
    files: tuple[Source, ...], modality: Modality, processes: Decoders
) -> tuple[tuple[Slice, ...], list[Unusable]]:
    """Decoders start while headers are read: by the first slice that will need them."""
    slices: list[Slice] = []
    unusable: list[Unusable] = []
    for outcome in read_headers(files):
        if isinstance(outcome, Unusable):
            unusable.append(outcome)
        else:
            slices.extend(outcome)
            first = outcome[0]
            if first.pixels.syntax in DECODABLE and first.sop_class in modality.sop_classes:
                processes.start(len(outcome), native=first.pixels.syntax != RLE)
    return tuple(slices), unusable


def _info(choice: Choice, built: Built, modality: Modality, notes: tuple[str, ...]) -> SeriesInfo:
    stack = built.stack
    first = stack.slices[0]
    rows_mm, columns_mm = first.pixel_spacing_mm or (0.0, 0.0)
    contrasts = {s.contrast for s in stack.slices}
    description, kernel = description_and_kernel([s.typed for s in stack.slices])
    return SeriesInfo(
        study_uid=first.study_uid,
        series_uid=first.series_uid,
        modality=modality.name,
        slices=len(stack.slices),
        spacing_mm=(columns_mm, rows_mm, round(stack.step_mm, 6)),
        orientation=stack.plane,
        description=description,
        kernel=kernel,
        contrast=True if True in contrasts else first.contrast,
        slice_thickness_mm=first.thickness_mm,
        others=choice.others,
        warnings=(*choice.warnings, *stack.warnings, *built.warnings, *notes),
    )


def _ordered(built: Built) -> tuple[Slice, ...]:
    """The stack's slices, feet first where that is along z."""
    slices = built.stack.slices
    return slices if np.asarray(built.stack.normal)[2] >= 0 else slices[::-1]


def _sources(ordered: tuple[Slice, ...]) -> tuple[tuple[str, str], ...]:
    """(file, SOP instance UID)."""
    return tuple(dict.fromkeys((s.source.name, s.sop_uid) for s in ordered))


def _plane(slice_: Slice) -> Plane:
    s = slice_
    uids = (s.sop_class, s.study_uid, s.series_uid, s.frame_of_reference)
    sizes = (s.rows, s.columns, s.pixel_spacing_mm, s.orientation, s.thickness_mm)
    return Plane(s.position_mm, s.instance, (*uids, *sizes), s.source.state)
