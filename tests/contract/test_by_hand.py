"""A person's word, from outside: names set by hand, masks given, corrected cases kept."""

import gzip
import json
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk

from tests.contract.conftest import Answer, Command, call


def truth(phantom: Path) -> dict[str, list[float]]:
    told = json.loads((phantom / "truth.json").read_text("utf-8"))
    return {v["level"]: v["centroid_lps_mm"] for v in told["levels"]}


@dataclass(frozen=True)
class Run:
    answer: Answer
    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.folder / "result.json").read_text("utf-8"))
        return read

    @property
    def levels(self) -> dict[str, list[float]]:
        return {f["level"]: f["centroid_lps_mm"] for f in self.result["findings"]}

    @property
    def mask(self) -> Path:
        (path,) = self.folder.glob("*_seg-vert_msk.nii.gz")
        return path


@pytest.fixture(scope="module")
def anchored(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """L3 pointed at: whatever the chain counted, the names are the phantom's."""
    folder = tmp_path_factory.mktemp("anchored")
    height = truth(phantom)["L3"][2]
    answer = call(
        *("run", phantom, "--anchor", f"L3={height}", "--out", folder / "out", "--language", "de"),
        *("--outputs", "json,html,nifti,seg,sr"),
        cwd=folder,
    )
    assert answer.code == 0, answer
    return Run(answer, folder / "out")


def assert_names(levels: dict[str, list[float]], phantom: Path, *, moved: int = 0) -> None:
    spine = [f"T{i}" for i in range(1, 13)] + [f"L{i}" for i in range(1, 7)]
    real = truth(phantom)
    assert {"L1", "L2", "L3"} <= set(levels)
    for level, place in levels.items():
        was = spine[spine.index(level) - moved]
        assert np.linalg.norm(np.subtract(place, real[was])) < 15, level


def test_an_anchor_names_the_column_and_the_result_says_so(anchored: Run, phantom: Path) -> None:
    assert_names(anchored.levels, phantom)
    result = anchored.result
    height = result["run"]["levels_by_hand"]["anchor"]["z_mm"]
    assert result["run"]["levels_by_hand"] == {"anchor": {"level": "L3", "z_mm": height}}
    assert height == pytest.approx(truth(phantom)["L3"][2], abs=0.01)
    assert {f["label_probability"] for f in result["findings"]} == {1.0}
    schema = json.loads(files("vfx_edge.outputs").joinpath("result.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(result)
    assert "von Hand benannt" in (anchored.folder / "report.html").read_text("utf-8")
    assert b"von Hand benannt" in (anchored.folder / "sr.dcm").read_bytes()


def test_our_own_segmentation_fed_back_gives_the_same_vertebrae(
    anchored: Run, phantom: Path, vfx: Command, tmp_path: Path
) -> None:
    out = Run(
        vfx("run", phantom, "--segmentation", anchored.folder / "seg.dcm", "--out", tmp_path / "o"),
        tmp_path / "o",
    )
    assert out.answer.code == 0, out.answer
    assert out.levels.keys() == anchored.levels.keys()
    for level, place in out.levels.items():
        assert np.linalg.norm(np.subtract(place, anchored.levels[level])) < 2.5
    assert out.result["run"]["levels_by_hand"] is None


def numbered(mask: Path, path: Path, *, from_the_feet: bool = False) -> Path:
    """As a viewer numbers its segments: 1 to N."""
    image = sitk.ReadImage(str(mask))
    labels = sitk.GetArrayFromImage(image)
    there = [int(v) for v in np.unique(labels) if v]
    table = np.zeros(256, np.uint8)
    for new, old in enumerate(reversed(there) if from_the_feet else there, 1):
        table[old] = new
    made = sitk.GetImageFromArray(table[labels])
    made.CopyInformation(image)
    sitk.WriteImage(made, str(path))
    return path


@pytest.mark.parametrize("from_the_feet", [False, True])
def test_a_viewers_own_numbers_are_refused(
    anchored: Run, phantom: Path, vfx: Command, tmp_path: Path, from_the_feet: bool
) -> None:
    mask = numbered(anchored.mask, tmp_path / "m.nii.gz", from_the_feet=from_the_feet)
    said = vfx("run", phantom, "--segmentation", mask, "--out", tmp_path / "no").assert_refused(3)
    assert "a viewer's own numbering?" in said
    assert "--anchor L5=Z_MM" in said
    assert not (tmp_path / "no").exists()


def test_a_viewers_own_numbers_are_taken_with_an_anchor(
    anchored: Run, phantom: Path, vfx: Command, tmp_path: Path
) -> None:
    mask = numbered(anchored.mask, tmp_path / "m.nii.gz", from_the_feet=True)
    height = truth(phantom)["L2"][2]
    out = Run(
        vfx(
            "run", phantom, "--segmentation", mask, f"--anchor=L2={height}", "--out", tmp_path / "y"
        ),
        tmp_path / "y",
    )
    assert out.answer.code == 0, out.answer
    assert_names(out.levels, phantom)


def test_a_shift_moves_every_name_of_a_mask(
    anchored: Run, phantom: Path, vfx: Command, tmp_path: Path
) -> None:
    asked = ("--segmentation", anchored.mask, "--shift-levels", "1", "--out", tmp_path / "o")
    out = Run(vfx("run", phantom, *asked), tmp_path / "o")
    assert out.answer.code == 0, out.answer
    assert_names(out.levels, phantom, moved=1)
    assert out.result["run"]["levels_by_hand"] == {"shift": 1}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--anchor", "L5"), 2, "L5=-700"),
        (("--anchor", "X5=3"), 2, "no vertebra 'X5'"),
        (("--anchor", "L5=nan"), 2, "L5=-700"),
        (("--anchor", "L5=1", "--shift-levels", "1"), 2, "exclude each other"),
        (("--shift-levels", "1.5"), 2, "--shift-levels"),
        (("--anchor", "L5=99999"), 3, "give the height of a body's centre"),
        (("--shift-levels", "9"), 3, "leave C1 to L6"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    anchored: Run, phantom: Path, vfx: Command, words: tuple[str, ...], code: int, said: str
) -> None:
    asked = ("run", phantom, "--segmentation", anchored.mask, *words)
    assert said in vfx(*asked).assert_refused(code)


def test_a_corrected_case_is_kept_in_verses_layout(
    anchored: Run, phantom: Path, vfx: Command, tmp_path: Path
) -> None:
    given = ("--segmentation", anchored.folder / "seg.dcm", "-o", tmp_path / "cases")
    first = vfx("correct", phantom, *given)
    assert first.code == 0, first
    (ct,) = (tmp_path / "cases").glob("rawdata/sub-*/*_ct.nii.gz")
    stem = ct.name.removesuffix("_ct.nii.gz")
    mask = tmp_path / "cases" / "derivatives" / stem / f"{stem}_seg-vert_msk.nii.gz"
    centroids = json.loads(mask.with_name(f"{stem}_seg-vert_ctd.json").read_text("utf-8"))
    kept, drawn = sitk.ReadImage(str(mask)), sitk.ReadImage(str(anchored.mask))
    assert np.array_equal(sitk.GetArrayFromImage(kept), sitk.GetArrayFromImage(drawn))
    assert sitk.ReadImage(str(ct)).GetSize() == kept.GetSize()
    assert len(centroids) == 1 + len(anchored.levels)
    everything = stem + "".join(p.name for p in (tmp_path / "cases").rglob("*"))
    for path in (ct, mask):
        everything += gzip.decompress(path.read_bytes())[:352].decode("latin-1")
    for secret in ("PHANTOM", "VFX-", anchored.result["series"]["series_uid"]):
        assert secret not in everything

    assert "--overwrite" in vfx("correct", phantom, *given).assert_refused(6)
    shifted = vfx("correct", phantom, *given, "--overwrite", "--shift-levels", "1")
    assert shifted.code == 0, shifted
    after = sitk.GetArrayFromImage(sitk.ReadImage(str(mask)))
    assert np.array_equal(after > 0, sitk.GetArrayFromImage(drawn) > 0)
    assert after.max() == sitk.GetArrayFromImage(drawn).max() + 1
    assert len(list((tmp_path / "cases").rglob("*.*"))) == 3
    assert "nothing was corrected" in vfx("correct", phantom, "-o", "x").assert_refused(2)
