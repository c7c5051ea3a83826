"""NIfTI: headers that lie, endings that lie, damage in the packing, bombs, neighbours."""

import gzip
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tests.hostile.corpus.case import BASE, READ, Base, Case, Make, Outcome, Reads, Refused
from tests.hostile.corpus.files import packed_with_zeros

BROKEN = Refused("can't be read|truncated|can't be used")
EditFile = Callable[[bytes], bytes]
DIM, DATATYPE, BITPIX, PIXDIM, OFFSET, SLOPE, INTER = 40, 70, 72, 76, 108, 112, 116
QFORM, SFORM, QUATERN, SROW, MAGIC = 252, 254, 256, 280, 344


@lru_cache(maxsize=2)
def nifti_of(base: Base) -> bytes:
    """The base as an uncompressed NIfTI-1 file."""
    image = sitk.GetImageFromArray(base.scan.image.values)
    affine = base.scan.image.affine_zyx_to_lps
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing[::-1].tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing)[:, ::-1].ravel().tolist())
    path = base.folder.parent / "base.nii"
    sitk.WriteImage(image, str(path))
    return path.read_bytes()


def patched(at: int, kind: str, *values: float) -> EditFile:
    """Header fields overwritten."""
    new = struct.pack(f"<{len(values)}{kind}", *values)
    return lambda content: content[:at] + new + content[at + len(new) :]


def _packed(content: bytes) -> bytes:
    return gzip.compress(content, 1)


def _swapped(content: bytes) -> bytes:
    """Without its last third."""
    return content[: len(content) * 2 // 3]


def _other_numbers(kind: str, code: int) -> EditFile:
    """The same voxels in another type of number."""

    def edit(content: bytes) -> bytes:
        voxels = np.frombuffer(content[352:], "<i2").astype(kind)
        head = patched(DATATYPE, "h", code, voxels.dtype.itemsize * 8)(content[:352])
        return head + voxels.tobytes()

    return edit


def _with_nans(content: bytes) -> bytes:
    head = patched(DATATYPE, "h", 16, 32)(content[:352])
    voxels = np.frombuffer(content[352:], "<i2").astype("<f4")
    voxels[:3] = np.nan, np.inf, -np.inf
    return head + voxels.tobytes()


def _constant(value: int) -> EditFile:
    return lambda content: (
        content[:352] + np.full((len(content) - 352) // 2, value, "<i2").tobytes()
    )


def _big_endian(content: bytes) -> bytes:
    """Header and voxels the other way round."""
    head = bytearray(content[:352])
    layout = ((0, 1, 4), (32, 1, 4), (36, 1, 2), (40, 8, 2), (56, 3, 4), (68, 4, 2), (76, 8, 4),
              (108, 3, 4), (120, 1, 2), (124, 6, 4), (252, 2, 2), (256, 18, 4))  # fmt: skip
    for at, count, size in layout:
        for n in range(count):
            place = slice(at + n * size, at + (n + 1) * size)
            head[place] = head[place][::-1]
    return bytes(head) + np.frombuffer(content[352:], "<i2").astype(">i2").tobytes()


def _bomb(content: bytes) -> bytes:
    """A small gzip file of a header that fits it, and 2 GiB of zeros."""
    head = patched(DIM, "h", 3, 1024, 1024, 1024, 1, 1, 1, 1)(content[:352])
    start = b"\x1f\x8b\x08\0\0\0\0\0\2\xff"
    return start + packed_with_zeros(head, 2048) + struct.pack("<II", 0, (2 << 30) + len(head))


PLAIN: dict[str, tuple[EditFile, tuple[Outcome, ...]]] = {
    "as it should be": (lambda c: c, (BASE,)),
    "big endian": (_big_endian, (BASE,)),
    "int32": (_other_numbers("<i4", 8), (BASE,)),
    "float32": (_other_numbers("<f4", 16), (BASE,)),
    "float64": (_other_numbers("<f8", 64), (BASE,)),
    "int64": (_other_numbers("<i8", 1024), (BASE, BROKEN)),
    "NaN and infinity": (_with_nans, (READ,)),
    "scaled": (patched(SLOPE, "f", 1.0, 0.0), (BASE,)),
    "slope 0": (patched(SLOPE, "f", 0.0, 500.0), (BASE,)),
    "slope NaN": (
        patched(SLOPE, "f", float("nan"), float("nan")),
        (BASE, BROKEN, Refused("no CT")),
    ),
    "slope infinite": (patched(SLOPE, "f", float("inf"), 0.0), (BROKEN, Refused("no CT"), BASE)),
    "slope 1e30": (patched(SLOPE, "f", 1e30, 0.0), (BROKEN, Refused("no CT"))),
    "intercept 1e30": (patched(SLOPE, "f", 1.0, 1e30), (BROKEN, Refused("no CT"))),
    "all zeros": (_constant(0), (Refused("no CT|every voxel"),)),
    "all 5000": (_constant(5000), (Refused("no CT|every voxel"),)),
    "no air": (
        lambda c: c[:352] + np.clip(np.frombuffer(c[352:], "<i2"), 0, 200).tobytes(),
        (Refused("no CT"),),
    ),
    "cut in the header": (lambda c: c[:200], (BROKEN,)),
    "header alone": (lambda c: c[:352], (BROKEN,)),
    "cut in the voxels": (_swapped, (BROKEN,)),
    "one byte missing": (lambda c: c[:-1], (BROKEN,)),
    "garbage behind": (lambda c: c + b"\x5a" * 5000, (BASE,)),
    "magic of nonsense": (patched(MAGIC, "I", 0x21212121), (BROKEN,)),
    "magic of a pair": (lambda c: c[:MAGIC] + b"ni1\0" + c[348:], (BROKEN,)),
    "header size 0": (patched(0, "i", 0), (BROKEN,)),
    "header size 540": (patched(0, "i", 540), (BROKEN,)),
    "no dimensions": (patched(DIM, "h", 0), (BROKEN,)),
    "9 dimensions": (patched(DIM, "h", 9), (BROKEN,)),
    "negative dimensions": (patched(DIM, "h", 3, -64, 64, 25), (BROKEN,)),
    "a dimension of 0": (patched(DIM, "h", 3, 64, 64, 0), (BROKEN,)),
    "32767 a side": (patched(DIM, "h", 3, 32767, 32767, 32767), (BROKEN,)),
    "7 dimensions of 32767": (patched(DIM, "h", 7, *[32767] * 7), (BROKEN,)),
    "10,000 slices": (patched(DIM, "h", 3, 64, 64, 10000), (BROKEN,)),
    "fewer slices": (patched(DIM, "h", 3, 64, 64, 20), (READ,)),
    "four dimensions": (patched(DIM, "h", 4, 64, 64, 5, 5), (BROKEN,)),
    "a fourth of one": (patched(DIM, "h", 4, 64, 64, 25, 1), (BASE,)),
    "one slice": (patched(DIM, "h", 3, 64, 1600, 1), (BROKEN,)),
    "colour voxels": (patched(DATATYPE, "h", 128, 24), (BROKEN,)),
    "complex voxels": (patched(DATATYPE, "h", 32, 64), (BROKEN,)),
    "a type of nonsense": (patched(DATATYPE, "h", 9999, 16), (BROKEN,)),
    "bits at odds with the type": (patched(BITPIX, "h", 8), (BASE, BROKEN)),
    "bits of nonsense": (patched(BITPIX, "h", -32768), (BASE, BROKEN)),
    "voxel size 0": (patched(PIXDIM + 4, "f", 0.0, 0.0, 0.0), (BROKEN, READ)),
    "voxel size negative": (patched(PIXDIM + 4, "f", -6.0, -6.0, -6.0), (BROKEN, READ)),
    "voxel size NaN": (patched(PIXDIM + 4, "f", *[float("nan")] * 3), (BROKEN, READ)),
    "voxel size 1e30": (patched(PIXDIM + 4, "f", 1e30, 1e30, 1e30), (BROKEN, READ)),
    "voxels of 6 m": (patched(PIXDIM + 4, "f", 6000.0, 6000.0, 6000.0), (BROKEN, READ)),
    "offset 0": (patched(OFFSET, "f", 0.0), (BROKEN, BASE)),
    "offset 1e9": (patched(OFFSET, "f", 1e9), (BROKEN,)),
    "offset negative": (patched(OFFSET, "f", -352.0), (BROKEN,)),
    "offset NaN": (patched(OFFSET, "f", float("nan")), (BROKEN,)),
    "offset in the voxels": (patched(OFFSET, "f", 1000.0), (BROKEN,)),
    "no orientation": (patched(QFORM, "h", 0, 0), (READ, BROKEN)),
    "sform of NaN": (patched(SROW, "f", *[float("nan")] * 12), (READ, BROKEN)),
    "sform of zeros": (patched(SROW, "f", *[0.0] * 12), (READ, BROKEN)),
    "sform sheared": (
        patched(SROW, "f", -6, 3, 0, 0, 0, -6, 0, 0, 0, 0, 6, 0),
        (Refused("sheared"), READ),
    ),
    "quaternion of NaN": (patched(QUATERN, "f", *[float("nan")] * 3), (READ, BROKEN)),
    "quaternion too long": (patched(QUATERN, "f", 5.0, 5.0, 5.0), (READ, BROKEN)),
    "two orientations": (
        patched(SROW, "f", 6, 0, 0, 0, 0, 6, 0, 0, 0, 0, 6, 0),
        (Reads(like=None, warns="two different orientations"),),
    ),
    "an extension of 4 GiB": (
        lambda c: c[:348] + b"\1\0\0\0" + struct.pack("<II", 0xFFFFFFF0, 6) + c[360:],
        (BROKEN, READ, BASE),
    ),
}
"""One uncompressed file, ct.nii, changed."""

PACKED: dict[str, tuple[EditFile, tuple[Outcome, ...]]] = {
    "as it should be": (_packed, (BASE,)),
    "in two members": (lambda c: _packed(c[:1000]) + _packed(c[1000:]), (BASE,)),
    "zeros behind": (lambda c: _packed(c) + bytes(512), (BASE, BROKEN)),
    "garbage behind": (lambda c: _packed(c) + b"\x5a" * 512, (BASE, BROKEN)),
    "cut": (lambda c: _packed(c)[:-2000], (BROKEN,)),
    "cut to 10 bytes": (lambda c: _packed(c)[:10], (BROKEN,)),
    "trailer missing": (lambda c: _packed(c)[:-8], (BROKEN, BASE)),
    "checksum wrong": (lambda c: _packed(c)[:-8] + b"\0\0\0\0" + _packed(c)[-4:], (BROKEN,)),
    "size wrong": (lambda c: _packed(c)[:-4] + b"\1\2\3\4", (BROKEN,)),
    "middle of FF": (
        lambda c: _packed(c)[:9000] + b"\xff" * 300 + _packed(c)[9300:],
        (BROKEN,),
    ),
    "packed twice": (lambda c: _packed(_packed(c)), (BASE, BROKEN)),
    "a bomb of 2 GiB": (_bomb, (BROKEN, Refused("no CT"))),
    "nothing packed": (lambda c: _packed(b""), (BROKEN,)),
    "a voxel missing": (lambda c: _packed(c[:-2]), (BROKEN,)),
}
"""ct.nii.gz."""

ENDINGS: dict[str, tuple[str, EditFile]] = {
    "plain named .nii.gz": ("ct.nii.gz", lambda c: c),
    "packed named .nii": ("ct.nii", _packed),
    "upper case": ("CT.NII.GZ", _packed),
    "upper case plain": ("CT.NII", lambda c: c),
    "no ending": ("a3f0ba7b", _packed),
    "an ending of another kind": ("ct.dcm", lambda c: c),
    "a name of 240 letters": ("n" * 236 + ".nii", lambda c: c),
    "a name with a line break": ("c\nt.nii", lambda c: c),
    "a name with a nul's picture": ("c%00t.nii.gz", _packed),
    "a name that is an option": ("--help.nii", lambda c: c),
}
"""Content decides, whatever the name."""


def _named(name: str, edit: EditFile) -> Make:
    def make(base: Base, folder: Path) -> Path:
        (folder / "in").mkdir()
        path = folder / "in" / name
        path.write_bytes(edit(nifti_of(base)))
        return path

    return make


def _beside(asked: str, there: dict[str, EditFile]) -> Make:
    """Several files side by side, of which one is asked for."""

    def make(base: Base, folder: Path) -> Path:
        (folder / "in").mkdir()
        for name, edit in there.items():
            (folder / "in" / name).write_bytes(edit(nifti_of(base)))
        return folder / "in" / asked

    return make


def _upside_down(content: bytes) -> bytes:
    voxels = np.frombuffer(content[352:], "<i2").reshape(25, 64, 64)
    return content[:352] + voxels[::-1].tobytes()


def _head(content: bytes) -> bytes:
    return content[:MAGIC] + b"ni1\0"


NEIGHBOURS: dict[str, tuple[str, dict[str, EditFile]]] = {
    "ct.nii beside": ("ct.nii.gz", {"ct.nii.gz": _packed, "ct.nii": _upside_down}),
    "ct.nii.gz beside": (
        "ct.nii",
        {"ct.nii": lambda c: c, "ct.nii.gz": lambda c: _packed(_upside_down(c))},
    ),
    "ct.hdr and ct.img beside": (
        "ct.nii.gz",
        {"ct.nii.gz": _packed, "ct.hdr": _head, "ct.img": lambda c: _upside_down(c)[352:]},
    ),
    "ct.img beside": ("ct.nii", {"ct.nii": lambda c: c, "ct.img": lambda c: _upside_down(c)[352:]}),
}
"""No library opens another file than the one asked for."""


def cases() -> Iterator[Case]:
    for name, (edit, outcomes) in PLAIN.items():
        yield Case("nifti", name, _named("ct.nii", edit), outcomes)
    for name, (edit, outcomes) in PACKED.items():
        yield Case("nifti", f"packed, {name}", _named("ct.nii.gz", edit), outcomes)
    for name, (file, edit) in ENDINGS.items():
        yield Case("nifti", name, _named(file, edit), (BASE,))
    for name, (asked, there) in NEIGHBOURS.items():
        yield Case("nifti", name, _beside(asked, there), (BASE,))
