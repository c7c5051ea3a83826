"""Harnesses of the DICOM reader: one file, a folder of slices, code streams."""

import io
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from importlib.util import find_spec

import numpy as np
from pydicom.dataset import Dataset

from tests.fuzz.target import Target, Try, Work, allowed, packed, unpacked
from tests.hostile.corpus.codes import CODECS, encode, file_with, item, wrapped
from tests.inputs.world import Scan, ct_slice, enhanced
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.decoders import decoders
from vfx_edge.inputs.faults import fault
from vfx_edge.inputs.files import Source
from vfx_edge.inputs.headers import Unusable, read_header
from vfx_edge.inputs.modality import CT
from vfx_edge.inputs.pixels import read_into
from vfx_edge.quiet import quiet

TINY = Scan(
    places=tuple(range(4)), rows=16, columns=16, rows_mm=12.0, columns_mm=12.0, step=(0, 0, 10)
)
UIDS = ("1.2.3.1", "1.2.3.2", "1.2.3.3")
SYNTAXES = tuple(CODECS)


def slices() -> list[Dataset]:
    """A tiny CT."""
    made = [ct_slice(TINY, place, number, UIDS) for number, place in enumerate(TINY.places)]
    for number, one in enumerate(made):
        one.SOPInstanceUID = f"1.2.3.4.{number + 1}"
    return made


def bytes_of(one: Dataset) -> bytes:
    stream = io.BytesIO()
    one.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def compressed(codec: str) -> list[bytes]:
    """The tiny CT in a codec."""
    found = []
    for one in slices():
        plane = np.frombuffer(one.PixelData, np.uint16).reshape(16, 16)
        one.PixelRepresentation = 0
        one.file_meta.TransferSyntaxUID = CODECS[codec]
        found.append(file_with(one, wrapped(encode(codec, plane))))
    return found


def _enhanced() -> Dataset:
    one = enhanced(TINY)
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = UIDS
    return one


def _file_seeds() -> Sequence[bytes]:
    return [bytes_of(slices()[0]), bytes_of(_enhanced()), *(compressed(c)[0] for c in CODECS)]


def _open_file(work: Work) -> Try:
    def read(path: Source) -> None:
        with quiet():
            found = read_header(path)
            if isinstance(found, Unusable):
                return
            for one in found[:8]:
                if fault(one, CT) is None:
                    out = np.empty((one.rows, one.columns), np.int16)
                    read_into([(one, out)], CT)

    return partial(_within_decoders, work, lambda data: read(
        Source(work.put({"IM0": data}) / "IM0", "IM0")
    ))  # fmt: skip


def _open_folder(work: Work) -> Try:
    def read(data: bytes) -> None:
        files = {f"IM{n}": content for n, content in enumerate(unpacked(data))}
        scan = load_scan(work.put(files))
        if not np.isfinite(scan.image.affine_zyx_to_lps).all():
            raise AssertionError("places that are no numbers")
        if not scan.image.values.size:
            raise AssertionError("an image without voxels")

    return partial(_within_decoders, work, read)


def _folder_seeds() -> Sequence[bytes]:
    plain = [bytes_of(one) for one in slices()]
    return [packed(plain), *(packed(compressed(c)) for c in ("RLE", "JPEG-LS"))]


def _open_stream(work: Work) -> Try:
    """First byte: the codec, and whether what follows is one code stream or the whole element."""
    one = slices()[0]
    plane = {}
    for codec in SYNTAXES:
        one.PixelRepresentation = 0
        one.file_meta.TransferSyntaxUID = CODECS[codec]
        plane[codec] = file_with(one, item(b"MARKMARK"))

    def read(data: bytes) -> None:
        if not data:
            return
        codec = SYNTAXES[data[0] % 4]
        value = wrapped(data[1:]) if data[0] & 4 else data[1:]
        content = plane[codec].replace(item(b"MARKMARK"), value)
        path = Source(work.put({"IM0": content}) / "IM0", "IM0")
        with quiet():
            found = read_header(path)
            if isinstance(found, Unusable) or fault(found[0], CT) is not None:
                return
            read_into([(found[0], np.empty((16, 16), np.int16))], CT)

    return partial(_within_decoders, work, read)


def _stream_seeds() -> Sequence[bytes]:
    plane = np.frombuffer(slices()[0].PixelData, np.uint16).reshape(16, 16)
    codes = [encode(codec, plane) for codec in SYNTAXES]
    whole = [bytes([n]) + wrapped(code) for n, code in enumerate(codes)]
    return [*whole, *(bytes([n + 4]) + code for n, code in enumerate(codes))]


class _Decoding:
    """One block of decoders for a whole run."""

    opened: AbstractContextManager[object] | None = None


def _within_decoders(work: Work, read: Callable[[bytes], None], data: bytes) -> None:
    if _Decoding.opened is None:
        _Decoding.opened = decoders()
        _Decoding.opened.__enter__()
    allowed(lambda: read(data))
    if find_spec("vfx_edge.inputs.decoders") is None:  # else they have a folder of their own
        work.check()


TARGETS = (
    Target("dicom-file", _open_file, _file_seeds, longest=8000),
    Target("dicom-folder", _open_folder, _folder_seeds, longest=16_000),
    Target("stream", _open_stream, _stream_seeds, longest=3000),
)
