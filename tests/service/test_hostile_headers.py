"""Instances whose headers lie: one is refused, the association goes on, memory stays as it was."""

import random
import struct
import tracemalloc
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dsutils import encode

from tests.contract.dicom_files import write_series
from tests.service.nodes import AE_TITLE, listening, store_status

MiB = 2**20


def _deep(levels: int) -> bytes:
    """Sequences in sequences, explicit little endian, none with an end."""
    item = b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return (b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff" + item) * levels


BODIES = {
    "10,000 sequences in each other": _deep(10_000),
    "4 GiB stated": b"\x08\x00\x05\x00UT\0\0\xfe\xff\xff\xff" + bytes(100),
    "a million elements": b"\x08\x00\x06\x00CS\0\0" * 10**6,
    "noise": random.Random(5).randbytes(10**6),
}


@pytest.mark.parametrize("syntax", ["plain", "deflated"])
@pytest.mark.parametrize("what", BODIES)
def test_a_header_that_lies_costs_one_instance(what: str, syntax: str, tmp_path: Path) -> None:
    """The association goes on, and what was good is kept."""
    (path,) = write_series(tmp_path / "ct", slices=1)
    good = pydicom.dcmread(path)
    deflated = syntax == "deflated"
    known = DeflatedExplicitVRLittleEndian if deflated else ExplicitVRLittleEndian
    packed = _deflated if deflated else bytes
    entity = AE("SCANNER")
    entity.add_requested_context(CTImageStorage, known)
    with listening(tmp_path) as node:
        association = entity.associate("127.0.0.1", node.port, ae_title=AE_TITLE)
        assert store_status(association, packed(BODIES[what])) == 0xC000
        body = encode(good, False, True)
        assert body is not None
        assert store_status(association, packed(body), good.SOPInstanceUID) == 0
        association.release()
        assert node.received() == 1


def _deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def test_a_deflated_bomb_is_kept_as_it_came(tmp_path: Path) -> None:
    """What it would inflate to is found out where it is read, not while it is received."""
    (path,) = write_series(tmp_path / "ct", slices=1)
    image = pydicom.dcmread(path)
    del image.PixelData
    body = encode(image, False, True)
    assert body is not None
    bomb = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    packed = bomb.compress(body + b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<L", 2**30))
    packed += b"".join(bomb.compress(bytes(2**24)) for _ in range(16)) + bomb.flush()
    entity = AE("SCANNER")
    entity.add_requested_context(CTImageStorage, DeflatedExplicitVRLittleEndian)
    with listening(tmp_path) as node:
        association = entity.associate("127.0.0.1", node.port, ae_title=AE_TITLE)
        tracemalloc.start()
        try:
            assert store_status(association, packed, image.SOPInstanceUID) == 0
            assert tracemalloc.get_traced_memory()[1] < 32 * MiB
        finally:
            tracemalloc.stop()
        association.release()
        (kept,) = (node.spool.root / "incoming").rglob("*.dcm")
        assert kept.read_bytes().endswith(packed)
