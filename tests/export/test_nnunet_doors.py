"""An nnU-Net by its zip, TotalSegmentator's by name: what is there, what is not, what does harm.

That a zip of nnU-Net's own is read right, test_nnunet.py shows; what any zip may do, test_zips.py.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `export`")
pytest.importorskip("dynamic_network_architectures", reason="needs the extra `export`")

from export import zips
from tests.export import nnunet_folders as folders
from tests.export.conftest import Run
from vfx_edge.manifest import load_model_set

MODEL = "Dataset900_Tiny/nnUNetTrainer__nnUNetPlans__3d_fullres"
CHECKPOINT = f"{MODEL}/fold_0/checkpoint_final.pth"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of results with one model."""
    folder = tmp_path_factory.mktemp("results")
    folders.write(folder / MODEL, folders.plans(), folders.dataset(("T12", "L1", "sacrum")))
    return folder


Change = Callable[[zipfile.ZipFile], object]


def packed(
    results: Path,
    place: Path,
    *below: str,
    kind: int = zipfile.ZIP_DEFLATED,
    change: Change = lambda _: None,
) -> Path:
    """The results as a zip; below: under each of these names, else as they lie."""
    with zipfile.ZipFile(place, "w", kind) as archive:
        for path in sorted(results.rglob("*.*")):
            name = path.relative_to(results).as_posix()
            for top in below or ("",):
                archive.write(path, top + name)
        change(archive)
    return place


def test_a_zip_with_several_models_is_chosen_from(results: Path, run: Run, tmp_path: Path) -> None:
    place = packed(results, tmp_path / "model.zip", "old/", "new/")
    code, _, err = run("nnunet", place, "-o", tmp_path / "set")
    assert (code, err.count("\n")) == (4, 1)
    assert f"new/{MODEL}, old/{MODEL}" in err
    code, out, err = run("nnunet", place / "new", "-o", tmp_path / "set", "--map", "L1=")
    assert code == 0, err
    assert "background here: L1, sacrum" in out
    spec = load_model_set(tmp_path / "set").network("segmenter")
    assert spec.means == ("background", "T12", "", "sacrum")
    code, _, err = run("parity", tmp_path / "set", "--checkpoint", place / "new", "--no-phantom",
                       "--random", "1", "--no-card")  # fmt: skip
    assert code == 0, err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.zip", "set"]


def _named(*names: str) -> Change:
    def write(archive: zipfile.ZipFile) -> None:
        for name in names:
            archive.writestr(name, "{}")

    return write


def _link(archive: zipfile.ZipFile) -> None:
    archive.filelist.remove(archive.NameToInfo.pop(f"{MODEL}/plans.json"))
    member = zipfile.ZipInfo(f"{MODEL}/plans.json")
    member.external_attr = 0o120777 << 16
    archive.writestr(member, "/etc/passwd")


HARMFUL: dict[str, tuple[Change, str]] = {
    "a name from the root": (_named("/tmp/plans.json"), "odd name"),
    "a name of many folders": (_named("a/" * 30 + "plans.json"), "odd name"),
    "a link": (_link, "no valid JSON"),
    "too many files": (_named(*map(str, range(20))), "it holds"),
    "nothing of nnU-Net's": (lambda archive: archive.filelist.clear(), "plans.json is missing"),
}


@pytest.mark.parametrize("case", HARMFUL)
def test_a_zip_that_may_do_harm_is_refused(
    case: str, results: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "MAX_MEMBERS", 12)
    change, words = HARMFUL[case]
    place = packed(results, tmp_path / "model.zip", change=change)
    code, out, err = run("nnunet", place, "-o", tmp_path / "set")
    assert (code, out, err.count("\n")) == (4, "", 1)
    assert words in err
    assert [path.name for path in tmp_path.iterdir()] == ["model.zip"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [("none", "is no zip"), ("cut", "is no zip"), ("checkpoint", "in the zip is damaged")],
)
def test_a_damaged_zip_is_refused(
    damage: str, words: str, results: Path, run: Run, tmp_path: Path
) -> None:
    kind = zipfile.ZIP_STORED if damage == "checkpoint" else zipfile.ZIP_DEFLATED
    place = packed(results, tmp_path / "model.zip", kind=kind)
    data = place.read_bytes()
    at = data.index(CHECKPOINT.encode()) + 1000
    other = {"none": b"a picture", "cut": data[:-40],
             "checkpoint": data[:at] + bytes(64) + data[at + 64 :]}  # fmt: skip
    place.write_bytes(other.get(damage, data))
    code, _, err = run("nnunet", place, "-o", tmp_path / "set")
    assert (code, err.count("\n")) == (4, 1)
    assert words in err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["totalsegmentator", "total"], 4, "holds no Dataset292_*"),
        (["totalsegmentator", "vertebrae_body"], 4, "one class for the bodies of all vertebrae"),
        (["totalsegmentator", "total_mr"], 4, "it is for MR"),
        (["totalsegmentator", "liver_vessels"], 2, "use one of total, total_fast"),
        (["nnunet", ".", "--map", "L1"], 2, "--map 'L1' is not NAME=MEANING"),
    ],
)
def test_a_task_that_is_not_there_is_said_so(
    words: list[str], code: int, says: str, run: Run, results: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(results))
    done, _, err = run(*words, "-o", tmp_path / "set")
    assert (done, err.count("\n")) == (code, 1)
    assert says in err
