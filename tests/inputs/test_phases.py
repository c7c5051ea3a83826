"""Several scans under one series UID: one whole scan is read or none, by what headers say alone."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from tests.examples import examples
from tests.inputs.world import Edit, Scan, ct_slice, enhanced, only, put, stored, write_scan
from tests.second_reader import assert_reads, plain_slices
from vfx_edge.errors import InputError
from vfx_edge.inputs import load_scan

SCAN = Scan(places=tuple(range(20)), rows=18, columns=20, rows_mm=6.0, columns_mm=6.0)
Say = Callable[[int, int], dict[str, object]]
"""(phase, slice) -> attributes"""
TELLING: dict[str, Say] = {
    "temporal position": lambda p, _: {"TemporalPositionIdentifier": p + 1},
    "temporal index": lambda p, _: {"TemporalPositionIndex": p + 1},
    "cardiac phase": lambda p, _: {"NominalPercentageOfCardiacPhase": 40.0 * p + 5},
    "breath": lambda p, _: {"NominalPercentageOfRespiratoryPhase": 50.0 * p},
    "trigger": lambda p, _: {"TriggerTime": str(350 * p)},
    "acquisition number": lambda p, _: {"AcquisitionNumber": p + 1},
    "frame acquisition": lambda p, _: {"FrameAcquisitionNumber": p + 1},
    "acquisition time": lambda p, _: {"AcquisitionTime": f"1609{10 + 20 * p:02d}"},
    "acquisition date": lambda p, _: {"AcquisitionDateTime": f"20260101160{p}10.5"},
    "acquisition time, each its own": lambda p, i: {
        "AcquisitionTime": f"16{10 + 2 * p:02d}{i:02d}.25"
    },
    "a time for every four slices": lambda p, i: {
        "AcquisitionTime": f"16{10 + 2 * p:02d}{i // 4:02d}"
    },
    "there and back": lambda p, i: {"AcquisitionTime": f"1610{40 - i if p else i:02d}"},
    "place by place": lambda p, i: {"AcquisitionTime": f"1610{2 * i + p:02d}"},
    "content time": lambda p, _: {"ContentTime": f"1609{10 + 20 * p:02d}"},
    "series time": lambda p, _: {"SeriesTime": f"1609{10 + 20 * p:02d}"},
    "stack": lambda p, _: {"StackID": "AB"[p]},
    "energy": lambda p, _: {"KVP": (80, 140)[p]},
    "kernel": lambda p, _: {"ConvolutionKernel": ("Br40", "Br44")[p]},
    "image type": lambda p, _: {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", f"CT_{p}"]},
    "field of view": lambda p, _: {"ReconstructionDiameter": 350 + 10 * p},
    "filter": lambda p, _: {"FilterType": ("BODY", "HEAD")[p]},
    "frame of reference": lambda p, _: {"FrameOfReferenceUID": f"1.2.{p + 3}"},
    "one of them states it": lambda p, _: {"TemporalPositionIdentifier": 2} if p else {},
    "number": lambda p, i: {"InstanceNumber": 1 + i + 20 * p},
    "number, back again": lambda p, i: {"InstanceNumber": 1 + i if not p else 40 - i},
}  # fmt: skip
JUMBLED = random.Random(4).sample(range(20), 20)
COMBS = ("temporal position", "cardiac phase", "trigger", "acquisition number", "energy", "kernel",
         "acquisition time", "acquisition time, each its own", "content time", "number",
         "number, back again")  # fmt: skip


def moved(one: Dataset) -> None:
    """The patient in another breath."""
    pixels = np.frombuffer(one.PixelData, np.int16).reshape(one.Rows, one.Columns)
    stored(one, np.roll(pixels, (3, 2), (0, 1)))


def write_phases(
    folder: Path,
    say: Say,
    *edits: Edit,
    scans: tuple[Scan, ...] = (SCAN, SCAN),
    seed: int = 1,
) -> list[list[str]]:
    """The files of each of several scans in one series: numbers begin anew in each, and names mean
    nothing."""
    names = random.Random(seed).sample(range(10**6), sum(len(s.places) for s in scans))
    uids = (generate_uid(), generate_uid(), generate_uid())
    files: list[list[str]] = []
    for phase, scan in enumerate(scans):
        files.append([])
        for index, place in enumerate(scan.places):
            one = ct_slice(scan, place, index, uids)
            if phase:
                moved(one)
            put(**say(phase, index))(one, index)
            for edit in edits:
                edit(one, index)
            files[-1].append(str(folder / f"{names.pop():06d}"))
            one.save_as(files[-1][-1], enforce_file_format=True)
    return files


@pytest.mark.parametrize("name", TELLING)
def test_phases_are_told_apart(tmp_path: Path, name: str) -> None:
    files = write_phases(tmp_path, TELLING[name])
    scan = load_scan(tmp_path)
    assert_reads(scan, plain_slices(files[0]))
    said = only(scan.series.warnings, "20 image(s) of the same series left out")
    keyword = next(iter(TELLING[name](1, 1)))
    assert f"told apart by {keyword}" in said
    assert [keyword in o.reason for o in scan.series.others] == [True]


@pytest.mark.parametrize("name", COMBS)
def test_phases_at_half_distances_are_no_finer_scan(tmp_path: Path, name: str) -> None:
    between = replace(SCAN, places=tuple(p + 0.5 for p in SCAN.places), centre=(0, 0, 1.5))
    files = write_phases(tmp_path, TELLING[name], scans=(SCAN, between))
    assert_reads(load_scan(tmp_path), plain_slices(files[0]))


@pytest.mark.parametrize("off", [0.2, 1 / 3, 0.45], ids=str)
@pytest.mark.parametrize("word", ["TemporalPositionIdentifier", "ImageType", None])
def test_phases_nearer_to_one_neighbour_are_never_mixed(tmp_path: Path, off, word) -> None:
    between = replace(SCAN, places=tuple(p + off for p in SCAN.places), centre=(0, 0, 3 * off))

    def say(phase: int, index: int) -> dict[str, object]:
        number = {"InstanceNumber": 2 * index + phase + 1}  # in turn: numbers tell nothing
        return number | ({word: phase + 1 if word[0] == "T" else f"A{phase}"} if word else {})

    files = write_phases(tmp_path, say, scans=(SCAN, between))
    if word:
        assert_reads(load_scan(tmp_path), plain_slices(files[0]))
        return
    with pytest.raises(InputError, match="can't be told apart"):
        load_scan(tmp_path)


def test_every_third_slice_lost_is_no_second_scan(tmp_path: Path) -> None:
    write_scan(tmp_path, SCAN, put())
    lost = [f for f in tmp_path.iterdir() if pydicom.dcmread(f).InstanceNumber % 3 == 0]
    for file in lost:
        file.unlink()
    assert load_scan(tmp_path).series.slices == len(SCAN.places) - len(lost)


@pytest.mark.parametrize("off", [0.1, 0.35, 0.5], ids=str)
def test_numbers_that_begin_anew_tell_combs_apart(tmp_path: Path, off) -> None:
    between = replace(SCAN, places=tuple(p + off for p in SCAN.places), centre=(0, 0, 3 * off))
    files = write_phases(tmp_path, lambda *_: {}, scans=(SCAN, between))
    scan = load_scan(tmp_path)
    assert_reads(scan, plain_slices(files[0]))


def test_the_phase_with_more_slices_is_read_and_one_with_a_gap_is_a_phase(tmp_path: Path) -> None:
    short = replace(SCAN, places=tuple(p for p in SCAN.places if p not in (4, 18, 19)),
                    centre=(0, 0, -3))  # fmt: skip
    files = write_phases(tmp_path, TELLING["temporal position"], scans=(short, SCAN))
    assert_reads(load_scan(tmp_path), plain_slices(files[1]))


@pytest.mark.parametrize(
    "say",
    [
        lambda *_: {},
        lambda p, i: {"InstanceNumber": 2 * i + p},
        lambda p, i: {"AcquisitionNumber": (i + p) % 3},
        lambda p, i: {"ContentTime": f"16{(i * 7 + p * 11) % 60:02d}00"},
        lambda p, i: {"TemporalPositionIdentifier": p, "AcquisitionNumber": (p + (i > 9)) % 2},
    ],
    ids=["nothing", "number place by place", "number at random", "time at random", "contradiction"],
)
@pytest.mark.parametrize("same_uid", [False, True])
def test_what_nothing_tells_apart_is_refused_by_name(tmp_path: Path, say, same_uid: bool) -> None:
    write_phases(tmp_path, say, *([put(SOPInstanceUID="1.2.3")] if same_uid else []))
    with pytest.raises(InputError, match=r"told apart by any of Temporal.*InstanceNumber"):
        load_scan(tmp_path)


def test_two_attributes_together(tmp_path: Path) -> None:
    """Two phases, each in two kernels: only both attributes tell all four apart."""
    files = write_phases(
        tmp_path,
        lambda p, _: {"TemporalPositionIdentifier": p // 2, "ConvolutionKernel": ("B", "C")[p % 2]},
        scans=(SCAN,) * 4,
    )
    scan = load_scan(tmp_path)
    assert_reads(scan, plain_slices(files[0]))
    assert only(scan.series.warnings, "60 image(s)")


@pytest.mark.parametrize(
    "own", ["AcquisitionTime", "ContentTime", "TriggerTime", "AcquisitionNumber"]
)
@pytest.mark.parametrize("jumbled", [False, True])
def test_times_that_differ_in_every_slice_break_no_scan(tmp_path: Path, own: str, jumbled) -> None:
    def say(_phase: int, i: int) -> dict[str, object]:
        return {own: f"10{JUMBLED[i] if jumbled else i:02d}00"}

    files = write_phases(tmp_path, say, scans=(SCAN,))
    scan = load_scan(tmp_path)
    assert_reads(scan, plain_slices(files[0]))
    assert scan.series.warnings == ()


def test_a_slice_that_is_there_in_two_versions_is_left_out(tmp_path: Path) -> None:
    """Nobody knows which is right."""
    write_phases(tmp_path, lambda *_: {}, scans=(SCAN,))
    victim = sorted(tmp_path.iterdir())[3]
    other = pydicom.dcmread(victim)
    moved(other)
    other.save_as(tmp_path / "0", enforce_file_format=True)
    scan = load_scan(tmp_path)
    assert only(scan.series.warnings, "2 slice(s) that share 1 place(s) and differ")
    assert str(victim) not in {name for name, _ in scan.sources}
    assert scan.series.slices == 19


def enhanced_phases(phases: int, say: Callable[[Dataset, int], None], seed: int) -> Dataset:
    """One enhanced file of several phases, frames in any order."""
    parts = [enhanced(SCAN) for _ in range(phases)]
    frames = []
    for phase, part in enumerate(parts):
        pixels = np.frombuffer(part.PixelData, np.uint16).reshape(-1, part.Rows, part.Columns)
        for group, plane in zip(part.PerFrameFunctionalGroupsSequence, pixels, strict=True):
            content = Dataset()
            say(content, phase)
            group.FrameContentSequence = Sequence([content])
            frames.append((group, np.roll(plane, 3 * phase, 0)))
    random.Random(seed).shuffle(frames)
    one = parts[0]
    one.NumberOfFrames = len(frames)
    one.PerFrameFunctionalGroupsSequence = Sequence([group for group, _ in frames])
    one.PixelData = np.stack([plane for _, plane in frames]).tobytes()
    return one


@pytest.mark.parametrize(
    "keyword",
    [
        *("TemporalPositionIndex", "FrameAcquisitionNumber", "StackID", "DimensionIndexValues"),
        "FrameAcquisitionDateTime",
    ],
)
def test_phases_in_one_enhanced_file(tmp_path: Path, keyword: str) -> None:
    values = {"StackID": "12", "DimensionIndexValues": [[1, 1, 4], [1, 2, 4]],
              "FrameAcquisitionDateTime": ["20260101100000", "20260101100100"]}  # fmt: skip

    def say(content: Dataset, phase: int) -> None:
        setattr(content, keyword, values.get(keyword, [1, 2])[phase])

    enhanced_phases(2, say, seed=5).save_as(tmp_path / "one", enforce_file_format=True)
    first = values.get(keyword, [1, 2])[0]
    scan = load_scan(tmp_path)
    assert_reads(scan, plain_slices(tmp_path, lambda f: f[keyword] == first))
    assert only(scan.series.warnings, f"told apart by {keyword}")


def test_frames_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    enhanced_phases(2, lambda *_: None, seed=5).save_as(tmp_path / "one", enforce_file_format=True)
    with pytest.raises(InputError, match="can't be told apart"):
        load_scan(tmp_path)


def test_phases_in_several_enhanced_files(tmp_path: Path) -> None:
    for phase in range(3):
        one = enhanced_phases(1, lambda *_: None, seed=phase)
        one.StudyInstanceUID, one.SeriesInstanceUID = "1.2.3", "1.2.3.4"
        one.FrameOfReferenceUID, one.SOPInstanceUID = "1.2.5", f"1.2.6.{phase}"
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.PixelData = np.roll(np.frombuffer(one.PixelData, np.uint16), 5 * phase).tobytes()
        one.save_as(tmp_path / "cab"[phase], enforce_file_format=True)
    scan = load_scan(tmp_path)
    assert_reads(scan, plain_slices(tmp_path, lambda f: f["SOPInstanceUID"] == "1.2.6.0"))
    assert only(scan.series.warnings, "40 image(s)")


@examples(12, suppress_health_check=list(HealthCheck))
@given(
    name=st.sampled_from([*TELLING, "nothing"]),
    seeds=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
    off=st.sampled_from([0.0, 0.0, 0.1, 0.5]),
    same_uid=st.booleans(),
)
def test_names_and_order_decide_nothing(name: str, seeds, off: float, same_uid: bool) -> None:
    """The same slices under other names: the same scan, or the same refusal; never a mixture."""
    other = replace(SCAN, places=tuple(p + off for p in SCAN.places), centre=(0, 0, 3 * off))
    edits = [put(SOPInstanceUID="1.2.3")] if same_uid else []
    outcomes: list[str] = []
    with TemporaryDirectory() as at:
        for seed in seeds:
            folder = Path(at) / str(len(outcomes))
            folder.mkdir()
            say = TELLING.get(name, lambda *_: {})
            files = write_phases(folder, say, *edits, scans=(SCAN, other), seed=seed)
            try:
                scan = load_scan(folder)
            except InputError as refused:
                outcomes.append(str(refused).partition(" ")[2])
            else:
                phase = int(any(name in files[1] for name, _ in scan.sources))
                assert_reads(scan, plain_slices(files[phase]))
                outcomes.append(str(phase))
    assert outcomes[0] == outcomes[1]
