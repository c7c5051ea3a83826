"""Whatever can't be used ends in its exit code, one sentence, and no trace in the output folder."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.conftest import Command
from tests.contract.dicom_files import MR, SECONDARY_CAPTURE, write_series


def empty(folder: Path) -> None:
    folder.mkdir()


def text_files(folder: Path) -> None:
    folder.mkdir()
    for name in ("readme.txt", "list.csv", "DICOMDIR", "image.dcm"):
        (folder / name).write_text("no DICOM here\n" * 40)


def mr_series(folder: Path) -> None:
    write_series(folder, modality="MR", sop_class=MR)


def truncated(folder: Path) -> None:
    for path in write_series(folder):
        path.write_bytes(path.read_bytes()[:900])


def scout_only(folder: Path) -> None:
    write_series(folder, slices=1, image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))


def secondary_capture(folder: Path) -> None:
    write_series(folder, slices=1, sop_class=SECONDARY_CAPTURE, image_type=("DERIVED", "SECONDARY"))


def one_slice(folder: Path) -> None:
    write_series(folder, slices=1)


def water_only(folder: Path) -> None:
    """A good CT without a spine."""
    write_series(folder, slices=40)


def missing(folder: Path) -> None:
    """Nothing there at all."""


MAKERS = [
    empty,
    text_files,
    mr_series,
    truncated,
    scout_only,
    secondary_capture,
    one_slice,
    water_only,
    missing,
]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_unusable_input_exits_3(make: Callable[[Path], None], vfx: Command, tmp_path: Path) -> None:
    make(tmp_path / "in")
    answer = vfx("run", tmp_path / "in", "--out", tmp_path / "out")
    sentence = answer.assert_refused(3)
    assert not (tmp_path / "out").exists()
    assert "SECRET" not in sentence
    assert "Doe" not in sentence


@pytest.mark.parametrize("as_json", [False, True])
def test_refusal_is_the_same_with_json(as_json: bool, vfx: Command, tmp_path: Path) -> None:
    empty(tmp_path / "in")
    vfx("run", tmp_path / "in", *["--json"] * as_json).assert_refused(3)


def test_unreadable_folder_exits_3(
    vfx: Command, tmp_path: Path, without_root_powers: list[str]
) -> None:
    write_series(tmp_path / "in")
    (tmp_path / "in").chmod(0)
    try:
        answer = vfx("run", tmp_path / "in", "--out", tmp_path / "out", prefix=without_root_powers)
    finally:
        (tmp_path / "in").chmod(0o755)
    answer.assert_refused(3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "series",
    [
        "dicom_oddities/localizer",
        "dicom_oddities/exam_summary_secondary_capture",
        "dicom_oddities/gantry_tilt_philips",
        "dicom_oddities/gantry_tilt_ge_mixed_spacing",
    ],
)
def test_real_series_without_a_spine_exit_3(
    series: str, vfx: Command, tmp_path: Path, shared_data: Path
) -> None:
    vfx("run", shared_data / series, "--out", tmp_path / "out").assert_refused(3)
    assert not (tmp_path / "out").exists()


def test_output_folder_without_permission_exits_6(
    vfx: Command, tmp_path: Path, phantom: Path, without_root_powers: list[str]
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    answer = vfx("run", phantom, "--out", locked / "out", prefix=without_root_powers)
    assert "locked" in answer.assert_refused(6)
    assert list(locked.iterdir()) == []


def test_output_folder_that_is_a_file_exits_6_before_the_scan_is_read(
    vfx: Command, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    vfx("run", tmp_path / "missing", "--out", tmp_path / "file").assert_refused(6)
    vfx("run", tmp_path / "missing", "--out", tmp_path / "file" / "below").assert_refused(6)
    assert (tmp_path / "file").read_text() == "in the way"


def test_model_with_one_byte_changed_exits_4(
    vfx: Command, tmp_path: Path, phantom: Path, default_models: Path
) -> None:
    shutil.copytree(default_models, tmp_path / "set")
    network = tmp_path / "set" / "segmenter.onnx"
    content = bytearray(network.read_bytes())
    content[len(content) // 2] ^= 1
    network.write_bytes(content)
    answer = vfx("run", phantom, "--model", tmp_path / "set", "--out", tmp_path / "out")
    assert network.name in answer.assert_refused(4)
    assert not (tmp_path / "out").exists()
    verified = vfx("models", "verify", tmp_path / "set")
    assert verified.code == 4
    assert re.search(rf"{re.escape(network.name)} +NOT WHOLE", verified.stdout)
    assert len(verified.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["no-such-set", "./no/such/folder"])
def test_missing_model_exits_4(name: str, vfx: Command, tmp_path: Path, phantom: Path) -> None:
    vfx("run", phantom, "--model", name, "--out", tmp_path / "out").assert_refused(4)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("backend", ["cuda", "tensorrt", "tensorrt-rtx"])
def test_named_backend_works_or_exits_5(
    backend: str, vfx: Command, tmp_path: Path, phantom: Path
) -> None:
    answer = vfx("run", phantom, "--backend", backend, "--out", tmp_path / "out")
    if answer.code == 0:
        pytest.skip(f"{backend} works here")
    assert backend in answer.assert_refused(5)
    assert not (tmp_path / "out").exists()
