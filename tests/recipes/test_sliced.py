"""A ResNet-50 that sees slices: taught on crops as it is asked at run time, and torchvision's
weights fit."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from export import resnet
from export.checkpoints import WrongWeights
from models.recipes.labelled import loop, sliced
from models.recipes.labelled.command import trained_on, write
from models.recipes.labelled.options import of_network
from models.recipes.labelled.plan import EDGE, Plan, crop_spec
from models.recipes.labelled.report import Wanted
from models.recipes.labelled.shown import shown
from models.recipes.nets import ResNet50
from tests.recipes.test_labelled_training import SHORT, blobs
from vfx_edge.backends import Budget, default_backends
from vfx_edge.inference.slices import averaged, run_slices, triplets
from vfx_edge.labelled.dataset import Label
from vfx_edge.manifest import load_model_set

PLAN = Plan(network="slices", width=4, masked=False)
OF_TORCHVISION = {
    "conv1.weight": (64, 3, 7, 7),
    "bn1.running_mean": (64,),
    "layer1.0.downsample.0.weight": (256, 64, 1, 1),
    "layer1.0.downsample.1.num_batches_tracked": (),
    "layer2.0.conv2.weight": (128, 128, 3, 3),
    "layer2.3.bn3.bias": (512,),
    "layer3.5.conv1.weight": (256, 1024, 1, 1),
    "layer4.2.conv3.weight": (2048, 512, 1, 1),
    "layer4.2.bn3.running_var": (2048,),
    "fc.weight": (1000, 2048),
    "fc.bias": (1000,),
}
"""Some of the 320 entries of its resnet50's state_dict."""


def crops_of(seed: int, count: int = 2) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(count, 1, EDGE, EDGE, EDGE)).astype(np.float32))


def test_torchvisions_weights_fit() -> None:
    """By names, shapes and number: 25,557,032 weights are what torchvision documents."""
    with torch.device("meta"):
        net = ResNet50(1000)
    own = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    assert own | OF_TORCHVISION == own
    assert len(own) == 320
    assert sum(p.numel() for p in net.parameters()) == 25_557_032
    assert net.layer2[0].conv2.stride == (2, 2)  # shapes don't tell: the 3x3 strides, not the 1x1


def test_it_is_taught_the_slices_that_it_is_asked_about() -> None:
    net, spec, crops = sliced.network(PLAN), crop_spec(PLAN), crops_of(0)
    wanted = np.concatenate([triplets(crop[0].numpy(), spec) for crop in crops])
    np.testing.assert_allclose(net.slices_of(crops), wanted, atol=1e-5)
    assert not np.allclose(net.slices_of(crops.flip(-1)), wanted, atol=0.1)


def test_what_it_says_of_a_crop_is_the_mean_of_its_slices() -> None:
    net, crops = sliced.network(PLAN).eval(), crops_of(1)
    with torch.no_grad():
        each = net.net(net.slices_of(crops)).softmax(1).unflatten(0, (2, -1)).numpy()
        said = net(crops).softmax(1).numpy()
    assert each.shape == (2, 5, 2)
    slices = crop_spec(PLAN).slices
    assert slices is not None
    np.testing.assert_allclose(said, averaged(each, slices), atol=1e-5)


def test_batch_norms_know_the_crops_after_an_epoch(tmp_path: Path) -> None:
    """Asked and taught, the network answers the same crops alike: what training keeps of means and
    variances lags dozens of steps behind, more than the one that there was."""
    crops = [
        crop
        for label in (Label.OSTEOPOROTIC, Label.MALIGNANT)
        for crop in blobs(label, 2, "train", 5)
    ]
    examples = loop.Examples(shown(crops, crop_spec(PLAN).input, "cpu"), torch.tensor([0, 0, 1, 1]))
    torch.manual_seed(1)
    net = sliced.network(PLAN)
    loop.train(net, examples, examples, replace(SHORT, epochs=1), tmp_path / "state", print)
    plain = examples.crops.plain(range(4))
    with torch.no_grad():
        asked, learning = (net.train(mode)(plain).softmax(1).numpy() for mode in (False, True))
    np.testing.assert_allclose(asked, learning, atol=0.06)
    assert np.ptp(asked[:, 1]) > 0.05  # untold, it answers every crop alike


@pytest.mark.thorough
def test_it_learns_what_tells_crops_apart(tmp_path: Path) -> None:
    """A bright ball or a dark one, of patients that it has not seen."""
    parts = {"train": (6, 0), "validation": (2, 1), "test": (4, 2)}
    shown_to = {}
    for part, (count, seed) in parts.items():
        crops = [
            crop
            for label in (Label.OSTEOPOROTIC, Label.MALIGNANT)
            for crop in blobs(label, count, part, seed)
        ]
        classes = torch.arange(2).repeat_interleave(count)
        shows = shown(crops, crop_spec(PLAN).input, "cpu")
        shown_to[part] = loop.Examples(shows, classes)
    torch.manual_seed(1)
    net = sliced.network(PLAN)
    schedule = replace(SHORT, rate=1e-3, epochs=8)
    loop.train(net, shown_to["train"], shown_to["validation"], schedule, tmp_path / "state", print)
    tested = shown_to["test"]
    p = loop.logits_of(net, tested.crops, range(8), "cpu").softmax(1)[:, 1].numpy()
    assert p[:4].max() < p[4:].min()


@pytest.mark.thorough
def test_the_set_answers_as_the_network_that_was_taught(tmp_path: Path) -> None:
    crops = tuple(
        crop
        for label in (Label.OSTEOPOROTIC, Label.MALIGNANT)
        for part, count in (("train", 2), ("validation", 1))
        for crop in blobs(label, count, part, len(part))
    )
    schedule = replace(SHORT, epochs=1)
    wanted = Wanted(PLAN, schedule, tmp_path / "sliced", tmp_path / "work")
    made = trained_on(crops, (), wanted, print)
    write(made)
    spec = load_model_set(tmp_path / "sliced").network("classifier")
    assert spec.shape(1) == (1, 3, EDGE, EDGE)
    inputs = shown(made.taught.crops[:2], crop_spec(PLAN).input, "cpu").plain([0, 1])
    with torch.no_grad():
        p = made.trained.net.eval()(inputs).softmax(1).numpy()
    network = default_backends()["cpu"].open(spec, spec.read(), "fp32", Budget())
    said = run_slices(network, [one.numpy() for one in inputs[:, 0]])
    assert spec.slices is not None
    np.testing.assert_allclose(averaged(said, spec.slices), p, atol=1e-3)
    card = (tmp_path / "sliced" / "card.md").read_text()
    assert "three neighbouring sagittal slices" in card
    assert resnet.load(tmp_path / "work" / "classifier.pt").fc.out_features == 2


def test_a_start_brings_all_but_the_last_layer(tmp_path: Path) -> None:
    path = tmp_path / "start.pth"
    given = ResNet50(1000, 4)
    torch.save(given.state_dict(), path)
    begun = sliced.network(replace(PLAN, start=str(path))).net
    name = "layer4.2.conv3.weight"
    assert torch.equal(begun.state_dict()[name], given.state_dict()[name])
    assert begun.fc.weight.shape == (2, 128)
    with pytest.raises(WrongWeights, match=r"'conv1.weight' is 4x3x7x7 and should be 8x3x7x7"):
        sliced.network(replace(PLAN, width=8, start=str(path)))


@pytest.mark.parametrize(
    ("plan", "network", "start", "words"),
    [
        (Plan(), "slice", None, "use one of volume, slices"),
        (Plan(), "volume", Path("w.pth"), "--start goes with --network slices"),
        (Plan(recipe="ours"), "slices", None, "use --recipe study --unmasked"),
    ],
)
def test_what_does_not_go_together(
    plan: Plan, network: str, start: Path | None, words: str
) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        of_network(plan, network, 64, start)
