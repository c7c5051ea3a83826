"""Masks whose files name their segments: 3D Slicer's .seg.nrrd, TotalSegmentator's NIfTI."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from tests.inputs.test_nifti import written
from vfx_edge.errors import InputError
from vfx_edge.image import Image
from vfx_edge.inputs import load_scan
from vfx_edge.inputs.segmentation import read_segmentation
from vfx_edge.study import Scan

AT = {1: (28, 4, 10), 2: (-12, -20, 22), 7: (-20, 12, -20)}


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    return load_scan(written(tmp_path_factory.mktemp("ct") / "ct.nii.gz", np.eye(3)))


def balls(places: np.ndarray) -> np.ndarray:
    near = [np.linalg.norm(places - at, axis=-1) < 14 for at in AT.values()]
    return np.select(near, list(AT))


def nrrd(path: Path, names: dict[int, str], tags: dict[int, str] | None = None) -> Path:
    image = sitk.ReadImage(str(written(path.with_name("m.nii.gz"), np.eye(3), np.int16, balls)))
    for at, (number, name) in enumerate(names.items()):
        image.SetMetaData(f"Segment{at}_Name", name)
        image.SetMetaData(f"Segment{at}_LabelValue", str(number))
        if tags and number in tags:
            image.SetMetaData(f"Segment{at}_Tags", tags[number])
    sitk.WriteImage(image, str(path))
    return path


def where(volume: Image, labels: np.ndarray) -> dict[int, tuple[int, ...]]:
    return {
        int(label): tuple(
            round(v) for v in volume.to_lps(np.argwhere(labels == label).mean(0)[None])[0]
        )
        for label in np.unique(labels)
        if label
    }


def test_slicers_names_come_before_its_numbers(scan: Scan, tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.seg.nrrd", {7: "L3 (corrected)", 2: "BWK12", 1: "aorta"})
    given = read_segmentation(path, scan)
    assert given.named
    assert where(scan.image, given.labels) == {19: AT[2], 22: AT[7]}
    assert "left out: number 1." in given.remarks[0]


def test_slicers_terminology_names_what_was_left_unnamed(scan: Scan, tmp_path: Path) -> None:
    entry = "TerminologyEntry:List~SCT^123037004^Anatomical Structure~SCT^66794005^L1 vertebra~^^"
    names = {1: "Segment_1", 2: "Segment_2", 7: "L3"}
    given = read_segmentation(nrrd(tmp_path / "a.seg.nrrd", names, {1: entry}), scan)
    assert where(scan.image, given.labels) == {20: AT[1], 22: AT[7]}


def test_numbers_without_telling_names_are_verse_labels(scan: Scan, tmp_path: Path) -> None:
    names = {1: "Segment_1", 2: "Segment_2", 7: "Segment_7"}
    given = read_segmentation(nrrd(tmp_path / "a.seg.nrrd", names), scan)
    assert not given.named
    assert where(scan.image, given.labels) == AT


def with_table(path: Path, table: str, *, packed: bool) -> Path:
    """A NIfTI with a label table behind its header, as TotalSegmentator writes it."""
    plain = written(path.with_name("plain.nii"), np.eye(3), np.int16, lambda p: balls(p) * 10)
    data = bytearray(plain.read_bytes())
    text = table.encode()
    size = (len(text) + 8 + 15) // 16 * 16
    struct.pack_into("<f", data, 108, 352.0 + size)
    data[348] = 1
    block = struct.pack("<ii", size, 0) + text.ljust(size - 8, b"\0")
    whole = bytes(data[:352]) + block + bytes(data[352:])
    path.write_bytes(gzip.compress(whole) if packed else whole)
    return path


TABLE = (
    '<?xml version="1.0"?><CaretExtension><VolumeInformation Index="0"><LabelTable>'
    '<Label Key="10" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[vertebrae_L5]]></Label>'
    '<Label Key="20" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[vertebrae_L4]]></Label>'
    '<Label Key="70" Red="1" Green="0" Blue="0" Alpha="1"><![CDATA[liver]]></Label>'
    "</LabelTable></VolumeInformation></CaretExtension>"
)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_label_table_names_numbers_beyond_verse(scan: Scan, tmp_path: Path, name) -> None:
    path = with_table(tmp_path / name, TABLE, packed=name.endswith("gz"))
    given = read_segmentation(path, scan)
    assert given.named
    assert where(scan.image, given.labels) == {23: AT[2], 24: AT[1]}
    with pytest.raises(InputError, match="numbers from 0 to 70"):
        read_segmentation(with_table(tmp_path / "b.nii", "no table", packed=False), scan)
