"""Frames of enhanced multi-frame files -> files of their own, which are read like any other slice.

Done only where a frame can't be reached by its byte: compressed and deflated files.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, CTImageStorage

from vfx_edge.inputs.codestream import stated_size
from vfx_edge.inputs.files import NoScratch, Source
from vfx_edge.inputs.headers import (
    DEFLATED,
    EXPLICIT_LITTLE_ENDIAN,
    UNCOMPRESSED,
    Slice,
    inflated,
)

Job = tuple[Slice, NDArray[np.int16]]
"""A slice and the place its Hounsfield units go to."""


def needs_file(slice_: Slice) -> bool:
    """Whether the slice is a frame that can't be reached by its byte."""
    return slice_.frame is not None and slice_.pixels.syntax not in UNCOMPRESSED - {DEFLATED}


def frames_as_files(work: list[Job], folder: Path) -> list[Job]:
    """The same work, its compressed frames moved to files in `folder`.

    A frame that can't be taken out is moved to a file that isn't there, and fails when read.
    """
    try:
        return _moved_out(work, folder)
    except OSError as error:
        raise NoScratch(error.strerror or type(error).__name__) from None


def _moved_out(work: list[Job], folder: Path) -> list[Job]:
    by_file: dict[Path, list[int]] = {}
    for at, (slice_, _) in enumerate(work):
        if needs_file(slice_):
            by_file.setdefault(slice_.source.path, []).append(at)
    for number, (path, mine) in enumerate(by_file.items()):
        if work[mine[0]][0].pixels.syntax == DEFLATED:
            _inflate_once(work, mine, folder / f"{number}.dcm")
        else:
            _take_out(work, mine, path, folder / str(number))
    return work


def fits(code: bytes, slice_: Slice) -> bool:
    """Whether a code stream is of the size its header says, as far as it says any."""
    return stated_size(code) in (None, (slice_.rows, slice_.columns, 1))


def _inflate_once(work: list[Job], mine: list[int], target: Path) -> None:
    with work[mine[0]][0].source.path.open("rb") as file:
        target.write_bytes(inflated(file).getbuffer())
    for at in mine:
        slice_, place = work[at]
        plain = replace(slice_.pixels, syntax=EXPLICIT_LITTLE_ENDIAN)
        work[at] = (replace(_moved(slice_, target), pixels=plain), place)


def _take_out(work: list[Job], mine: list[int], path: Path, folder: Path) -> None:
    folder.mkdir()
    wanted = {work[at][0].frame or 0: at for at in mine}
    for frame, code in enumerate(_code_streams(path)):
        at = wanted.get(frame)
        if at is not None and fits(code, work[at][0]):
            _write_frame(work[at][0], code, folder / f"{frame}.dcm")
    for frame, at in wanted.items():
        slice_, place = work[at]
        work[at] = (_moved(slice_, folder / f"{frame}.dcm"), place)


def _moved(slice_: Slice, target: Path) -> Slice:
    return replace(slice_, source=Source(target, slice_.source.name))


def _code_streams(path: Path) -> Iterable[bytes]:
    try:
        dataset = pydicom.dcmread(path, specific_tags=["PixelData", "NumberOfFrames"])
        yield from generate_frames(dataset.PixelData, number_of_frames=dataset.NumberOfFrames)
    except Exception:  # noqa: BLE001  a broken file: the frames not given here are undecodable
        return


def _write_frame(slice_: Slice, code: bytes, target: Path) -> None:
    p = slice_.pixels
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = UID(p.syntax)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID = UID("2.25.1")
    ds.Modality, ds.SamplesPerPixel, ds.PhotometricInterpretation = "CT", 1, "MONOCHROME2"
    ds.Rows, ds.Columns = slice_.rows, slice_.columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = p.bits_allocated, p.bits_stored, p.high_bit
    ds.PixelRepresentation = int(p.signed)
    ds.RescaleSlope, ds.RescaleIntercept = "1", "0"
    ds.PixelData = encapsulate([code])
    ds["PixelData"].VR = "OB"
    ds.save_as(target, enforce_file_format=True)
