"""The base's slices as code streams, and files around them, right or wrong."""

import io
import struct
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from tests.hostile.corpus.case import Base, Make, write_bytes

Plane = NDArray[np.uint16]
CODECS = {
    "RLE": RLELossless,
    "JPEG": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG2000": JPEG2000Lossless,
}
EditCode = Callable[[bytes], bytes]
Wrap = Callable[[bytes], bytes]
"""A code stream -> the value of the pixel data element."""


def plane_of(one: Dataset) -> Plane:
    """The stored numbers of an uncompressed slice."""
    return np.frombuffer(one.PixelData, "<u2").reshape(one.Rows, one.Columns)


def encode(codec: str, plane: NDArray[np.generic], bits: int = 16) -> bytes:
    """One image without loss."""
    if codec == "RLE":
        return _rle(plane)
    if codec == "JPEG-LS":
        import jpeg_ls

        return bytes(
            jpeg_ls.encode_buffer(
                plane.tobytes(),
                rows=plane.shape[0],
                columns=plane.shape[1],
                samples_per_pixel=1,
                bits_stored=bits,
            )
        )
    return _by_itk(codec, plane)


def _rle(plane: NDArray[np.generic]) -> bytes:
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID = CTImageStorage, UID("2.25.1")
    one.Rows, one.Columns = plane.shape
    one.BitsAllocated = one.BitsStored = 16
    one.HighBit, one.SamplesPerPixel, one.PixelRepresentation = 15, 1, 0
    one.PhotometricInterpretation = "MONOCHROME2"
    one.PixelData = plane.tobytes()
    one["PixelData"].VR = "OW"
    one.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return next(generate_frames(one.PixelData, number_of_frames=1))


def _by_itk(codec: str, plane: NDArray[np.generic]) -> bytes:
    """JPEG Lossless or JPEG 2000, taken out of the DICOM file that ITK writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "one.dcm")
        writer = sitk.ImageFileWriter()
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(path))
        writer.SetUseCompression(True)
        writer.SetCompressor(codec)
        writer.Execute(sitk.GetImageFromArray(plane[None]))
        return next(generate_frames(pydicom.dcmread(path).PixelData, number_of_frames=1))


@lru_cache(maxsize=8)
def codes_of(base: Base, codec: str) -> tuple[bytes, ...]:
    """Every slice of the base, feet first."""
    return tuple(encode(codec, plane_of(one)) for one in base.slices())


def compressed(
    codec: str,
    edit: EditCode = lambda code: code,
    which: Sequence[int] = (),
    *,
    wrap: Wrap | None = None,
    syntax: str | None = None,
    change: Callable[[Dataset], None] = lambda one: None,
) -> Make:
    """The base in a codec; `edit` spoils the streams of the slices `which`, or of all. `wrap`:
    how the edited ones are put into their element."""

    def make(base: Base, folder: Path) -> Path:
        contents = []
        for index, (one, code) in enumerate(zip(base.slices(), codes_of(base, codec), strict=True)):
            mine = not which or index in which
            one.file_meta.TransferSyntaxUID = UID(syntax) if syntax else CODECS[codec]
            change(one)
            value = (wrap if wrap and mine else wrapped)(edit(code) if mine else code)
            contents.append(file_with(one, value))
        return write_bytes(folder / "in", contents)

    return make


def wrapped(code: bytes) -> bytes:
    """One fragment behind an empty offset table; also of a stream that is no stream."""
    return item(b"") + item(even(code))


def held(one: Dataset, value: bytes) -> None:
    """Puts a value of encapsulated pixel data in."""
    one.PixelData = value
    one["PixelData"].VR = "OB"
    one["PixelData"].is_undefined_length = True


def file_with(one: Dataset, value: bytes) -> bytes:
    """The file of a data set with any value as its encapsulated pixel data: pydicom writes none
    that is not wrapped as it should be."""
    mark = item(b"THEVALUE")
    held(one, mark)
    return file_bytes(one).replace(mark, value)


def item(content: bytes, length: int | None = None) -> bytes:
    """One item of encapsulated pixel data, its length stated as it is or as given."""
    return (
        b"\xfe\xff\x00\xe0"
        + struct.pack("<I", len(content) if length is None else length)
        + content
    )


def even(code: bytes) -> bytes:
    """Padded to an even length."""
    return code + b"\0" * (len(code) % 2)


def size_claimed(codec: str, rows: int, columns: int) -> EditCode:
    """The stream says another size in its header, and stays as it is."""

    def edit(code: bytes) -> bytes:
        out = bytearray(code)
        if codec == "JPEG2000":
            at = out.index(b"\xff\x51")
            out[at + 6 : at + 14] = struct.pack(">II", columns, rows)
            return bytes(out)
        at = out.index(b"\xff\xf7" if codec == "JPEG-LS" else b"\xff\xc3")
        out[at + 5 : at + 9] = struct.pack(">HH", rows & 0xFFFF, columns & 0xFFFF)
        return bytes(out)

    return edit


def file_bytes(one: Dataset) -> bytes:
    """A data set as a file has it."""
    stream = io.BytesIO()
    one.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
