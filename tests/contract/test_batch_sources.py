"""`vfx-edge batch` from outside: lists, archives and folders as people have them."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from tests.batch.orthanc import IS_HERE, Archive
from tests.contract.conftest import call

PHANTOM = ("--levels", "T12-L2", "--fracture", "L1:wedge:0.35")


def phantoms(folder: Path, *seeds: str) -> None:
    for seed in seeds:
        assert call("phantom", f"data/{seed}", *PHANTOM, "--seed", seed, cwd=folder).code == 0


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def alone(place: str, folder: Path) -> dict[str, object]:
    assert call("run", place, "-o", "alone", cwd=folder).code == 0
    found: dict[str, object] = json.loads((folder / "alone" / "result.json").read_text("utf-8"))
    return found


@pytest.mark.thorough
def test_whatever_is_wrong_in_a_list_is_named_and_the_rest_is_done(
    tmp_path: Path, without_root_powers: list[str], default_models: Path
) -> None:
    phantoms(tmp_path, "1", "2", "3")
    data = tmp_path / "data"
    (data / "both").mkdir()
    for seed in ("1", "2"):
        for file in (data / seed).glob("*.dcm"):
            shutil.copy(file, data / "both" / f"{seed}-{file.name}")
    shutil.make_archive(str(data / "both"), "zip", data / "both")
    (data / "empty.nii.gz").write_bytes(b"")
    (data / "shut").mkdir(mode=0)
    lines = ["path", "both", "gone", "3", "3/../3", "both.zip", "empty.nii.gz", "shut", "list.csv"]
    (data / "list.csv").write_text("\n".join(lines), encoding="utf-16")
    words = ("batch", "data/list.csv", "-o", "data/out", "--workers", "1", "--levels", "L1")
    told = call(*words, cwd=tmp_path, prefix=without_root_powers)
    assert told.code == 3
    for words_told in (
        "line 3: ", "gone does not exist",
        "line 5: ", "is the study of line 4, which is taken",
        "line 6: ", "is the study of line 2, which is taken",
        "line 8: ", "shut can't be read",
    ):  # fmt: skip
        assert words_told in told.stderr
    states = [row["state"] for row in rows(data / "out")]
    assert sorted(states) == ["done"] * 3 + ["failed"] * 2
    page = (data / "out" / "summary.html").read_text("utf-8")
    assert "does not exist" in page
    other = tmp_path / "other"
    shutil.copytree(default_models, other)
    manifest = other / "manifest.toml"
    text = manifest.read_text("utf-8")
    manifest.write_text(text.replace('version = "', 'version = "9', 1), encoding="utf-8")
    again = call(*words, "--model", "other", cwd=tmp_path, prefix=without_root_powers)
    assert (again.code, "another model set" in again.stderr) == (2, True)
    whole = call("batch", "data", "-o", "data/out", *words[4:], cwd=tmp_path)
    assert "5 studies done" not in whole.stdout
    assert [row["state"] for row in rows(data / "out")].count("done") == 3


@pytest.mark.thorough
def test_a_zip_of_two_studies_gives_what_each_gives_alone(tmp_path: Path) -> None:
    phantoms(tmp_path, "1", "2")
    shutil.make_archive(str(tmp_path / "two"), "zip", tmp_path / "data")
    told = call("batch", "two.zip", "-o", "out", "--workers", "1", cwd=tmp_path)
    assert told.code == 0, told
    assert len(rows(tmp_path / "out")) == 2
    single = alone("data/2", tmp_path)
    place = tmp_path / "out" / "studies" / single["series"]["study_uid"] / "result.json"  # type: ignore[index]
    assert json.loads(place.read_text("utf-8"))["findings"] == single["findings"]


@pytest.mark.thorough
@pytest.mark.skipif(not IS_HERE, reason="needs Orthanc: make peers installs it")
def test_an_archive_gives_what_the_folder_gives_and_keeps_no_image_here(tmp_path: Path) -> None:
    phantoms(tmp_path, "1", "2")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Archive(tmp_path / "orthanc") as archive:
        for file in (tmp_path / "data").rglob("*.dcm"):
            archive.store(file.read_bytes())
        url = archive.server().url
        prefix = ["env", f"TMPDIR={scratch}"]
        told = call("batch", url, "-o", "out", "--workers", "1", cwd=tmp_path, prefix=prefix)
    assert told.code == 0, told
    assert len(rows(tmp_path / "out")) == 2
    assert list(scratch.iterdir()) == []
    single = alone("data/1", tmp_path)
    place = tmp_path / "out" / "studies" / single["series"]["study_uid"] / "result.json"  # type: ignore[index]
    assert json.loads(place.read_text("utf-8"))["findings"] == single["findings"]


@pytest.mark.parametrize(
    ("words", "code", "why"),
    [
        (("data", "--query", "StudyDate=2025"), 2, "name its https:// address"),
        (("https://pacs/dicom-web", "--query", "limit=3"), 2, "no attribute"),
        (("https://me:x@pacs/dicom-web",), 2, "netrc"),
        (("https://pacs/dicom-web", "--dicomweb", "gone.toml"), 2, "gone.toml"),
        (("list.csv",), 3, "no column is called path"),
    ],
)
def test_a_source_that_cant_be_used_is_one_sentence(
    tmp_path: Path, words: tuple[str, ...], code: int, why: str
) -> None:
    (tmp_path / "list.csv").write_text("file\nct\n", encoding="ascii")
    assert why in call("batch", *words, "-o", "out", cwd=tmp_path).assert_refused(code)
    assert not (tmp_path / "out").exists()
