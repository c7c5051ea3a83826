"""Folders, archives and single files."""

import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydicom.uid import RLELossless

from tests.inputs.world import Scan, assert_shows_patient, enhanced, only, write_scan
from vfx_edge.errors import InputError
from vfx_edge.inputs import files, load_scan


def test_any_depth_and_mix(tmp_path: Path) -> None:
    write_scan(tmp_path / "a" / "b" / "c")
    for path in sorted((tmp_path / "a" / "b" / "c").iterdir())[:20]:
        path.rename(tmp_path / f"IM{path.name}.dcm")
    (tmp_path / "notes.txt").write_text("nothing")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "a" / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
    volume = load_scan(tmp_path)
    assert_shows_patient(volume.image)
    assert volume.series.warnings == ()


def test_progress_is_told(tmp_path: Path) -> None:
    write_scan(tmp_path)
    lines: list[str] = []
    load_scan(tmp_path, progress=lines.append)
    assert only(lines, "headers of 40 files")
    assert only(lines, "40 slices")


def test_links_that_go_in_circles(tmp_path: Path) -> None:
    write_scan(tmp_path / "real")
    try:
        (tmp_path / "real" / "up").symlink_to(tmp_path, target_is_directory=True)
        (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
        (tmp_path / "self").symlink_to(tmp_path / "self")
    except OSError:
        pytest.skip("this account may not make symbolic links")
    volume = load_scan(tmp_path)
    assert volume.image.values.shape[0] == 40
    assert volume.series.warnings == ()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    write_scan(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert load_scan(tmp_path).image.values.shape[0] == 40
    with pytest.raises(InputError, match="neither a file nor a folder"):
        load_scan(tmp_path / "pipe")


def packed(path: Path, folder: Path, kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for number, file in enumerate(sorted(folder.rglob("*"))):
            if file.is_file():
                archive.write(file, f"../../outside/{number}" if number % 2 else f"in/{number}")
    return path


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_zip_of_slices_with_names_that_lead_outside(tmp_path: Path, kind: int) -> None:
    write_scan(tmp_path / "ct")
    archive = packed(tmp_path / "study.zip", tmp_path / "ct", kind)
    before = set(tmp_path.rglob("*"))
    volume = load_scan(archive)
    assert_shows_patient(volume.image)
    assert set(tmp_path.rglob("*")) == before
    assert volume.sources[0][0].startswith(str(archive))


def test_zip_of_an_enhanced_file(tmp_path: Path) -> None:
    (tmp_path / "ct").mkdir()
    enhanced(Scan()).save_as(tmp_path / "ct" / "one.dcm", enforce_file_format=True)
    assert_shows_patient(load_scan(packed(tmp_path / "study.zip", tmp_path / "ct")).image)


def test_zip_bomb_by_its_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(4 * 2**20))
    monkeypatch.setattr(files, "RATIO_APPLIES_FROM_BYTES", 2**20)
    with pytest.raises(InputError, match="times its size"):
        load_scan(tmp_path / "bomb.zip")


def test_zip_bomb_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w") as archive:
        archive.writestr("noise", os.urandom(2**20))
    monkeypatch.setattr(files, "MAX_UNPACKED_BYTES", 2**19)
    with pytest.raises(InputError, match="would unpack to"):
        load_scan(tmp_path / "bomb.zip")


def test_members_over_each_other_and_members_without_a_name(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct")
    whole = packed(tmp_path / "study.zip", tmp_path / "ct").read_bytes()
    first = whole.index(b"PK\x01\x02")
    second = whole.index(b"PK\x01\x02", first + 4)
    over = bytearray(whole)
    over[second + 42 : second + 46] = over[first + 42 : first + 46]
    (tmp_path / "over.zip").write_bytes(over)
    with pytest.raises(InputError, match=r"over each other|Overlapped"):
        load_scan(tmp_path / "over.zip")
    with zipfile.ZipFile(tmp_path / "nameless.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("x"), b"nothing")
    nameless = (tmp_path / "nameless.zip").read_bytes().replace(b"\x01\0\0\0x", b"\0\0\0\0")
    (tmp_path / "nameless.zip").write_bytes(nameless)
    with pytest.raises(InputError):
        load_scan(tmp_path / "nameless.zip")


def test_a_listing_of_more_files_than_a_study_has(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct")
    whole = bytearray(packed(tmp_path / "study.zip", tmp_path / "ct").read_bytes())
    end = whole.rindex(b"PK\x05\x06")
    whole[end + 12 : end + 16] = b"\xff\xff\xff\x7f"
    (tmp_path / "long.zip").write_bytes(whole)
    with pytest.raises(InputError, match="more than 100000 files"):
        load_scan(tmp_path / "long.zip")


NO_TEXT = os.fsdecode(b"Patient M\xfcller #1\n")


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """Latin-1 bytes and a line feed, as a disc burned elsewhere has them."""
    folder = tmp_path / NO_TEXT
    write_scan(folder / "plain", name=NO_TEXT)
    write_scan(folder / "RLE", Scan(), lambda one, _: one.compress(RLELossless))
    for name in ("plain", "RLE"):
        assert_shows_patient(load_scan(folder / name).image)
    packed(folder / "study.zip", folder / "plain")
    assert_shows_patient(load_scan(folder / "study.zip").image)


def test_damaged_and_encrypted_zips(tmp_path: Path) -> None:
    write_scan(tmp_path / "ct")
    whole = packed(tmp_path / "study.zip", tmp_path / "ct").read_bytes()
    (tmp_path / "flipped.zip").write_bytes(whole[:3000] + b"\xff" * 64 + whole[3064:])
    locked = bytearray(whole)
    at = locked.rfind(b"PK\x01\x02")
    for start in (0, at):
        locked[start + (6 if start == 0 else 8)] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    for name in ("flipped", "locked"):
        with pytest.raises(InputError, match="unpack it yourself"):
            load_scan(tmp_path / f"{name}.zip")


def test_no_room_for_what_must_be_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scan(tmp_path / "ct")
    archive = packed(tmp_path / "study.zip", tmp_path / "ct")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100_000))
        with pytest.raises(InputError, match="room for 0 MiB"):
            load_scan(archive)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="temporary folder"):
        load_scan(archive)
    assert_shows_patient(load_scan(tmp_path / "ct").image)
