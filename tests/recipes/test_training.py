"""The recipes' training: what is left out stays out, and an interrupted one goes on."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

pytest.importorskip("torch", reason="the recipes need the extra 'export'")

import torch

from models.recipes import cases, labelled_folders, segmenter, shapes, slim
from models.recipes.folds import FOLDS, REFERENCES
from models.recipes.plausible import plausible
from models.recipes.shapes import ARCH, BODY, Case
from models.recipes.train import Schedule, fit

LEVELS = (20, 21, 22, 23)  # L1 to L4, from head to feet
STEP, EDGE = 22, 14


def column() -> Case:
    """Four blocks with an arch each, at 1.5 mm; L1 is the highest."""
    verse = np.zeros((110, 50, 40), np.uint8)
    part = np.zeros_like(verse)
    for i, value in enumerate(LEVELS):
        z = 110 - 12 - EDGE - i * STEP
        body, arch = np.s_[z : z + EDGE, 8:28, 6:32], np.s_[z + 3 : z + 11, 28:42, 14:24]
        for box, kind in ((body, BODY), (arch, ARCH)):
            verse[box], part[box] = value, kind
    hu = np.where(verse > 0, 300, 40).astype(np.int16)
    return Case("blocks", 1.5, np.array([-20.0, -30.0, 5.0]), hu, verse, part)


def centres(case: Case) -> dict[int, np.ndarray]:
    return {v: np.argwhere((case.verse == v) & (case.part == BODY)).mean(0) for v in LEVELS}


def stored(folder: Path, name: str, real: bool, hu: int = 0, expert: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    case = column()
    assert case.hu is not None
    case.hu[...] += hu
    case = Case(name, 1.5, case.origin_lps_mm, case.hu, case.verse, case.part)
    cases.save(folder / f"case_{name}.npz", cases.Labelled(case, centres(case), real, expert))


def test_a_left_out_case_is_never_drawn(tmp_path: Path) -> None:
    for name in ("one", "two", "three", "two1"):  # the last is a painted copy of the second's mask
        stored(tmp_path, name, real=name in ("one", "two"))
    pool = cases.Pool([tmp_path], 1, 0.5, np.random.default_rng(0), without=("two",))
    assert {pool.draw().case.name for _ in range(60)} == {"one", "three"}


def test_masks_by_experts_are_drawn_more_often(tmp_path: Path) -> None:
    for name in ("one", "two", "three", "four"):
        stored(tmp_path, name, real=True, expert=name == "one")
    pool = cases.Pool([tmp_path], 1, 1.0, np.random.default_rng(0), expert_share=0.6)
    drawn = [pool.draw() for _ in range(300)]
    assert 0.6 <= sum(labelled.expert for labelled in drawn) / 300 < 0.8


def test_thin_bone_keeps_its_volume_in_what_the_segmenter_is_taught(tmp_path: Path) -> None:
    fine = np.zeros((120, 200, 160), np.uint8)  # 0.5 mm
    fine[40:80, 30:90, 50:110] = 20  # a body …
    fine[58:60, 90:170, 79:82] = 20  # … and a process of 1.0 x 1.5 mm
    image = sitk.GetImageFromArray(fine)
    image.SetSpacing([0.5] * 3)
    for name, kind in (("ct", sitk.sitkInt16), ("msk", sitk.sitkUInt8)):
        sitk.WriteImage(sitk.Cast(image, kind), str(tmp_path / f"{name}.nii.gz"))
    case = shapes.load_case("fine", tmp_path / "msk.nii.gz", tmp_path / "ct.nii.gz", 1.5)
    axes = [torch.arange(n, dtype=torch.float32) for n in case.verse.shape]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    _, _, body, arch = segmenter._sampled(case, 20, points)
    process = (body + arch)[:, 32:54].sum() * 1.5**3  # y 48 to 81 mm
    assert process == pytest.approx(33 * 1.0 * 1.5, rel=0.05)
    assert (case.verse[:, 32:54] > 0).sum() * 1.5**3 < 0.7 * process  # cut at one half it is lost


def test_a_folds_own_masks_stand_for_the_shared_ones(tmp_path: Path) -> None:
    stored(tmp_path / "shared", "one", real=True)
    stored(tmp_path / "fold", "one", real=True, hu=500)
    pool = cases.Pool([tmp_path / "shared", tmp_path / "fold"], 1, 0.5, np.random.default_rng(0))
    drawn = [pool.draw().case.hu for _ in range(10)]
    assert {int(hu.max()) for hu in drawn if hu is not None} == {800}


def test_each_ct_is_left_out_exactly_once() -> None:
    known = {path.split("/")[0] for path in json.loads(REFERENCES.read_text("utf-8"))}
    for kind in ("n", "s"):
        left_out = [name for fold, items in FOLDS.items() if fold[0] == kind for name in items]
        assert len(left_out) == len(set(left_out))
        assert set(left_out) <= known
        assert kind != "n" or set(left_out) == known


def test_an_interrupted_training_goes_on(tmp_path: Path) -> None:
    drawn: list[int] = []

    def batches(stop_at: int):
        def draw():
            drawn.append(len(drawn))
            if len(drawn) == stop_at:
                raise KeyboardInterrupt
            return (torch.ones(2, 1, 4, 4, 4),)

        return lambda _worker: draw

    def loss(net, batch):
        return net(batch[0]).square().mean()

    out = tmp_path / "net.pt"
    schedule = Schedule(minutes=5, rate=0.1, every=2)
    with pytest.raises(KeyboardInterrupt):
        fit(torch.nn.Conv3d(1, 1, 1), batches(8), loss, out, schedule)
    known = torch.load(out.with_suffix(".state"), weights_only=True)
    assert known["step"] == 6
    with pytest.raises(KeyboardInterrupt):
        fit(torch.nn.Conv3d(1, 1, 1), batches(12), loss, out, schedule)
    after = torch.load(out.with_suffix(".state"), weights_only=True)
    assert after["step"] == 8
    assert after["seconds"] > known["seconds"]
    assert after["mean"] < known["mean"]
    assert [s["step"] for s in after["optimiser"]["state"].values()] == [8, 8]


def test_a_finished_training_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "net.pt"

    def once():
        return (torch.ones(1, 1, 2, 2, 2),)

    net = torch.nn.Conv3d(1, 1, 1)
    fit(net, lambda _: once, lambda n, b: n(b[0]).mean(), out, Schedule(1e-6, 0.1))
    before = out.stat().st_mtime_ns
    fit(net, lambda _: once, lambda n, b: n(b[0]).mean(), out, Schedule(1e-6, 0.1))
    assert out.stat().st_mtime_ns == before


def test_a_column_of_vertebrae_is_believed() -> None:
    case = column()
    assert plausible(case, centres(case)) == set(LEVELS)


def test_what_is_no_vertebra_is_not_learned_from() -> None:
    case = column()
    case.part[(case.verse == 21) & (case.part == ARCH)] = BODY  # one without an arch
    sliver = (case.verse == 22) & (np.indices(case.verse.shape)[0] % EDGE > 3)
    case.verse[sliver], case.part[sliver] = 0, 0
    assert plausible(case, centres(case)) == {20, 23}


def test_verse_folders_become_cases_whatever_their_orientation(tmp_path: Path) -> None:
    case = column()
    assert case.hu is not None
    for kind, array in (("ct", case.hu), ("seg-vert_msk", case.verse)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing([1.5] * 3)
        image.SetOrigin(list(case.origin_lps_mm))
        (tmp_path / kind).mkdir()
        turned = sitk.DICOMOrient(image, "PIR")
        sitk.WriteImage(turned, str(tmp_path / kind / f"sub-1_{kind}.nii.gz"))
    ((name, mask, image_path),) = labelled_folders.verse_pairs(tmp_path)
    labelled = labelled_folders.from_masks(name, mask, image_path)
    assert name == "sub-1"
    assert labelled.real
    for value, at in centres(case).items():
        lps = labelled.case.origin_lps_mm + 1.5 * labelled.centres[value][::-1]
        np.testing.assert_allclose(lps, case.origin_lps_mm + 1.5 * at[::-1], atol=4)


def test_a_slim_segmenter_learns_its_teachers_answer_and_the_truth_where_it_is_known() -> None:
    torch.manual_seed(0)
    teacher = segmenter.network().eval()
    net = slim.begun(teacher)
    assert torch.equal(net.state_dict()["down.1.0.weight"], teacher.state_dict()["down.2.0.weight"])
    x = torch.randn(2, *segmenter.PATCH)
    truth = torch.zeros(3, *segmenter.PATCH)
    truth[1] = 1
    shown, answer = slim.lesson(teacher, (x, truth), masked=False)
    assert torch.equal(shown, x[:, slim.FIRST : slim.FIRST + slim.PATCH[0]])
    assert answer.shape == (3, *slim.PATCH)
    _, mixed = slim.lesson(teacher, (x, truth), masked=True)
    assert torch.allclose(mixed[1], slim.TRUST * answer[1] + 1 - slim.TRUST)
    assert net(shown[None]).shape == (1, 3, *slim.PATCH)
