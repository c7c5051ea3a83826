"""The classifier's recipe: its phantoms, what is chosen on them, what ships, how it is scored."""

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from export.manifests import update_hashes
from models.recipes.classifier import (
    attack,
    examples,
    learning,
    outliers,
    phantoms,
    report,
)
from models.recipes.classifier.calibration import (
    Calibration,
    chosen_thresholds,
    fitted_temperature,
    load,
)
from models.recipes.classifier.open_set import Familiar, OpenSet, describe, familiar
from models.recipes.classifier.phantoms import Kind
from models.recipes.classifier.shipping import write
from models.recipes.nets import Net3D
from vfx_edge.backends import open_models
from vfx_edge.manifest import ClassifierParameters, load_model_set
from vfx_edge.phantom import Part, make_phantom, paint_benign_signs

DEFAULT = Path(__file__).parents[2] / "models" / "default"


def few_crops(n: int = 2) -> torch.Tensor:
    return torch.randn(n, 1, 64, 64, 64, generator=torch.Generator().manual_seed(3))


def blurred(n: int) -> torch.Tensor:
    """Of all strengths and brightnesses."""
    much = torch.linspace(2, 15, n).reshape(n, 1, 1, 1, 1)
    return torch.nn.functional.avg_pool3d(few_crops(n), 5, 1, 2) * much + much.cos()


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Net3D:
    """Random weights, rounded as they ship."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("net") / "random.pt"
    torch.save(Net3D().state_dict(), path)
    return load(path)


@pytest.fixture(scope="module")
def open_set(net: Net3D) -> OpenSet:
    """Twelve blurred noises are all that it knows."""
    with torch.no_grad():
        _, features = describe(net, blurred(12))
        known = familiar(features, torch.arange(12) % 2)
        return OpenSet(net, 1.5, known.with_limit(torch.tensor([1.0, 2.0]), 1.0), 0.0).eval()


def test_a_published_checkpoint_still_fits(net: Net3D) -> None:
    names = set(net.state_dict())
    wanted = [f"encoder.encoder_{n}.{b}.{k}.weight" for n in range(1, 6) for b in (0, 1)
              for k in (0, 1)]  # fmt: skip
    wanted += [f"classifier.layer{n}.linear_block.1.running_var" for n in (1, 2, 3)]
    wanted += ["classifier.initial_conv3.bias", "classifier.bn_init3.bias",
               "classifier.final_dense.weight"]  # fmt: skip
    assert names.issuperset(wanted)
    assert len(names) == 79


def test_a_phantom_is_made_of_its_seed_alone() -> None:
    """And clefts and sclerosis stay within the bodies that were broken."""
    seed = 4
    hu, bone = phantoms.crops(Kind.OSTEOPOROTIC, seed)
    again, _ = phantoms.crops(Kind.OSTEOPOROTIC, seed)
    np.testing.assert_array_equal(hu, again)
    assert hu.shape[1:] == (84, 84, 84) == bone.shape[1:]
    phantom = make_phantom(phantoms.phantom_spec(Kind.OSTEOPOROTIC, seed))
    painted, rng = phantom.hu.copy(), np.random.default_rng(0)
    for level in 3 * [level for level in phantom.truth.levels if level.fracture]:
        paint_benign_signs(painted, phantom, level, rng)
    changed = painted != phantom.hu
    assert changed.any()
    assert (phantom.parts[changed] == Part.BODY).all()


def test_places_elsewhere_hold_no_vertebra() -> None:
    _, bone = phantoms.crops(Kind.ELSEWHERE, 2)
    middle = bone[:, 32:52, 32:52, 32:52]
    assert len(bone) == 2
    assert not middle.any()


def test_three_kinds_of_phantoms_never_meet(tmp_path: Path) -> None:
    one = np.zeros((1, 2, 2, 2))
    for seed in (0, 29, 30, 59, 60, 500):
        np.savez(tmp_path / f"crops_{seed:05d}_0.npz", hu=one, bone=one > 0)
    seeds = [
        set(examples.CropPool(tmp_path, which).phantoms[Kind.OSTEOPOROTIC])
        for which in (examples.TEST, examples.CALIBRATION, None)
    ]
    assert seeds == [{0, 29}, {30, 59}, {60, 500}]


def test_every_outlier_fills_a_crop(tmp_path: Path) -> None:
    hu = np.random.default_rng(0).integers(-200, 900, (2, 84, 84, 84)).astype(np.int16)
    for kind in Kind:
        np.savez(tmp_path / f"crops_00000_{int(kind)}.npz", hu=hu, bone=hu > 300)
    pool = examples.CropPool(tmp_path, examples.TEST)
    for name, maker in {**outliers.TRAINED, **outliers.UNTRAINED}.items():
        made = maker(pool, np.random.default_rng(1))
        assert made.shape == examples.CROP, name
        assert torch.isfinite(made).all(), name
    blocks = outliers.scrambled(pool, np.random.default_rng(1))
    assert blocks.min() >= hu.min()
    assert blocks.std() == pytest.approx(hu.std(), rel=0.05)


def test_thresholds_are_as_strict_as_the_uncertain_share_allows() -> None:
    rng = np.random.default_rng(0)
    truth = np.arange(2000) % 2 == 1
    sharp = 1 / (1 + np.exp(-np.where(truth, 3, -3) - rng.normal(0, 1, 2000)))
    malignant, osteoporotic = chosen_thresholds(sharp.astype(np.float32), truth)
    untold = (sharp < malignant) & (1 - sharp < osteoporotic)
    assert untold.mean() == pytest.approx(0.20, abs=0.01)
    vague = 1 / (1 + np.exp(-np.where(truth, 1, -1) - rng.normal(0, 1, 2000)))
    malignant, osteoporotic = chosen_thresholds(vague.astype(np.float32), truth)
    told = (vague >= malignant) | (1 - vague >= osteoporotic)
    wrong = (vague >= malignant) & ~truth | (1 - vague >= osteoporotic) & truth
    assert wrong.sum() / told.sum() <= 0.05
    assert (~told).mean() > 0.3  # being right comes before answering


def test_the_temperature_takes_back_what_was_made_too_sure() -> None:
    rng = torch.Generator().manual_seed(0)
    lean = torch.randn(4000, generator=rng) * 2
    classes = (torch.rand(4000, generator=rng) < lean.sigmoid()).long()
    logits = torch.stack([torch.zeros(4000), lean], 1)
    assert fitted_temperature(3 * logits, classes) == pytest.approx(3, rel=0.1)


def test_strangeness_turns_at_the_limit_and_leaves_the_classes_alone(
    net: Net3D, open_set: OpenSet
) -> None:
    crops = torch.cat([few_crops(2), torch.zeros(1, 1, 64, 64, 64)])
    with torch.no_grad():
        logits, features = describe(net, crops)
        answer = open_set(crops)
    far = open_set.known.distance(features)
    unknown = answer.softmax(1)[:, 2]
    assert torch.equal(unknown > 0.5, far > open_set.known.limit)
    assert (unknown > 0.5).all()  # white noise is no blurred noise, nor is nothing at all
    torch.testing.assert_close(answer[:, :2], logits / 1.5)


def test_what_the_network_itself_calls_unknown_is(net: Net3D, tmp_path: Path) -> None:
    """Weights of the published two answers can be taught a third, and lose nothing by it."""
    torch.save(net.state_dict(), tmp_path / "two.pt")
    more = learning.network(tmp_path / "two.pt").eval()
    with torch.no_grad():
        two, features = describe(net, blurred(2))
        three, _ = describe(more, blurred(2))
        torch.testing.assert_close(three[:, :2], two)
        known = familiar(features.repeat(3, 1), torch.arange(6) % 2)
        near = OpenSet(more, 1.0, known.with_limit(torch.tensor([0.5, 9.0]), 1.0), 2.0)
        assert (near(blurred(2)).softmax(1)[:, 2] < 0.5).all()
        more.classifier.final_dense.bias[2] += 10
        assert (near(blurred(2)).softmax(1)[:, 2] > 0.5).all()


def test_distance_is_that_of_the_nearer_class() -> None:
    rng = torch.Generator().manual_seed(0)
    classes = torch.arange(4000) % 2
    mix = torch.tensor([[2.0, 1.0], [0.0, 0.5]])
    known = torch.randn(4000, 2, generator=rng) @ mix + torch.stack([9.0 * classes] * 2, 1)
    fitted: Familiar = familiar(known, classes)
    means = torch.tensor([[0.0, 0.0], [9.0, 9.0]])
    assert (fitted.distance(means) < 0.1).all()
    assert fitted.distance(known).square().mean() == pytest.approx(1.0, rel=0.3)
    assert fitted.distance(torch.tensor([[4.5, 4.5]])) > 2
    bound = fitted.with_limit(fitted.distance(known), 0.99)
    assert (bound.distance(known) < bound.limit).float().mean() == pytest.approx(0.99, abs=0.002)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory, open_set: OpenSet) -> Path:
    out = tmp_path_factory.mktemp("shipped") / "set"
    shutil.copytree(DEFAULT, out)
    write(open_set, Calibration(1.5, 0.9, 0.8, 0.0, open_set.known), out)
    update_hashes(out / "manifest.toml")
    return out


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the exporter's own insides
@pytest.mark.parametrize("backend", ["cpu", "openvino"])
def test_what_ships_answers_as_what_was_trained(
    shipped: Path, open_set: OpenSet, backend: str
) -> None:
    manifest = load_model_set(shipped)
    assert manifest.roles == load_model_set(DEFAULT).roles
    spec = manifest.network("classifier")
    said = spec.parameters_of(ClassifierParameters)
    assert (said.threshold_malignant, said.threshold_osteoporotic) == (0.9, 0.8)
    noise = torch.cat([blurred(12)[3:5], few_crops(1)])
    with torch.no_grad():
        wanted = open_set(noise).softmax(1).numpy()
    assert (wanted[:, 2] > 0.5).tolist() == [False, False, True]
    with open_models(manifest, backend, roles=("classifier",)) as models:
        got = models.network("classifier").probabilities(noise.numpy())
    np.testing.assert_allclose(got, wanted, atol=spec.precision.max_probability_difference)


def test_an_attack_stays_within_five_hounsfield_units_and_does_harm(open_set: OpenSet) -> None:
    crops, classes = few_crops(2), torch.tensor([0, 1])
    before = torch.nn.functional.cross_entropy(open_set(crops)[:, :2], classes)
    changed = attack.fgsm(open_set, crops, classes)
    assert float((changed - crops).abs().max()) * 250 <= 5.01
    assert torch.nn.functional.cross_entropy(open_set(changed)[:, :2], classes) > before


def test_figures_of_a_known_answer() -> None:
    p = np.array([0.05, 0.05, 0.45, 0.45, 0.95, 0.95], np.float32)
    truth = np.array([False, False, False, True, True, False])
    sure = report.Told(p, p * 0, p > 0.9, p < 0.1, p < 0)
    found = report.scores(sure, truth, np.arange(6))
    assert found["auc"] == pytest.approx((2.5 + 3.5) / 8)
    assert [row["malignant"] for row in found["calibration_curve"]] == [0.0, 0.5, 0.5]
    assert found["calibration_error"] == pytest.approx((0.05 + 0.05 + 0.45) / 3)
    assert found["accuracy_told"] == pytest.approx(3 / 4)
    assert (found["sensitivity"], found["specificity"]) == (1.0, pytest.approx(2 / 3))
    assert found["uncertain"] == pytest.approx(1 / 3)
    assert found["malignant_not_called_osteoporotic"] == 1.0
