"""Networks that see slices, by every door: a ResNet-50's weights, a whole program, an ONNX file."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from export import resnet
from export.checkpoints import RunsCode, WrongWeights
from models.recipes.nets import ResNet50
from tests.export.conftest import Run
from tests.export.filling import filled
from tests.export.nets import shaken
from vfx_edge.backends import open_models
from vfx_edge.manifest import load_model_set

ROWS, COLUMNS = 24, 32
ANSWERS: dict[str, Any] = {
    "input.patch_zyx": [40, ROWS, COLUMNS],
    "input.orientation": "LIP",
    "input.spacing_mm": 1.0,
    "output.classes": ["osteoporotic", "malignant"],
    "slices.distance_mm": 3.0,
}


class Flat(nn.Module):
    """(n, 3, rows, columns) -> (n, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(torch.relu(self.first(x)).mean((2, 3)))
        return out


def batch(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 3, ROWS, COLUMNS, generator=torch.Generator().manual_seed(1))


def through(door: str, file: Path, folder: Path, run: Run) -> np.ndarray:
    """The set's raw answer to `batch()`, made of the file in the door's two steps."""
    template = folder / "mine.toml"
    code, _, err = run(door, file, "--template", template, "--role", "classifier")
    assert code == 0, err
    filled(template, "classifier", ANSWERS)
    code, _, err = run(door, file, "--manifest", template, "-o", folder / "mine")
    assert code == 0, err
    with open_models(load_model_set(folder / "mine"), "cpu", roles=["classifier"]) as models:
        return models.network("classifier").run(batch().numpy())


def asked(net: nn.Module) -> np.ndarray:
    with torch.no_grad():
        return np.asarray(net.eval()(batch()).numpy())


@pytest.mark.thorough
def test_a_program_that_sees_slices(tmp_path: Path, run: Run) -> None:
    net, free = shaken(Flat()), {0: torch.export.Dim("batch", min=1)}
    program = torch.export.export(net, (batch(2),), dynamic_shapes=(free,))
    torch.export.save(program, tmp_path / "net.pt2")
    got = through("network", tmp_path / "net.pt2", tmp_path, run)
    np.testing.assert_allclose(got, asked(net), atol=1e-5)


def test_an_onnx_file_with_channels_last(tmp_path: Path, run: Run) -> None:
    """Each slice's mean, mixed."""
    mix = np.array([[3.0, -5.0], [7.0, 2.0], [-4.0, 6.0]], np.float32)
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", ROWS, COLUMNS, 3])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["n", 2])
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "mix"], ["answer"]),
    ]
    graph = helper.make_graph(nodes, "g", [given], [answer], [numpy_helper.from_array(mix, "mix")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    got = through("onnx", tmp_path / "net.onnx", tmp_path, run)
    np.testing.assert_allclose(got, batch().numpy().mean((2, 3)) @ mix, atol=1e-5)


@pytest.mark.thorough
def test_a_resnet_by_its_weights(tmp_path: Path, run: Run) -> None:
    """As DataParallel leaves them; the set proves equal to them afterwards."""
    net, file = shaken(ResNet50(2, 4)), tmp_path / "weights.pth"
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, file)
    got = through("resnet", file, tmp_path, run)
    np.testing.assert_allclose(got, asked(net), rtol=1e-4, atol=1e-4)
    code, out, err = run("parity", tmp_path / "mine", "--checkpoint", file, "--random", "4")
    assert code == 0, out + err


def test_what_a_resnets_template_knows(tmp_path: Path, run: Run) -> None:
    file = tmp_path / "weights.pth"
    torch.save(ResNet50(3, 4).state_dict(), file)
    code, _, err = run("resnet", file, "--template", tmp_path / "t.toml", "--role", "classifier")
    assert code == 0, err
    (network,) = tomllib.loads((tmp_path / "t.toml").read_text("utf-8"))["network"]
    assert network["input"]["channels"] == 3
    assert len(network["output"]["classes"]) == 3
    assert network["slices"]["triplets"] == 5
    code, _, err = run("resnet", file, "--template", tmp_path / "u.toml")
    assert (code, "can be detector, classifier" in err) == (2, True), err


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    file, state = tmp_path / "weights.pth", ResNet50(2, 4).state_dict()
    for change, words in (
        ({"fc.weight": torch.zeros(1).expand(10**9, 1)}, "1000000000 outputs, 1 to 10000 can be"),
        ({"conv1.weight": torch.zeros(())}, "'conv1.weight' has 0 outputs"),
        (
            {"layer4.0.conv1.weight": torch.zeros(32, 8, 1, 1)},
            "'layer4.0.conv1.weight' is 32x8x1x1",
        ),
        ({"layer5.0.conv1.weight": torch.zeros(1)}, "'layer5.0.conv1.weight' is not part of it"),
    ):
        torch.save({**state, **change}, file)
        with pytest.raises(WrongWeights, match=words):
            resnet.load(file)
    torch.save({"conv1.weight": print}, file)
    with pytest.raises(RunsCode, match="print"):
        resnet.load(file)


def test_a_manifest_without_slices_is_refused(tmp_path: Path, run: Run) -> None:
    file, template = tmp_path / "weights.pth", tmp_path / "t.toml"
    torch.save(ResNet50(2, 4).state_dict(), file)
    run("resnet", file, "--template", template, "--role", "classifier")
    text = filled(template, "classifier", ANSWERS).read_text("utf-8")
    head, _, rest = text.partition("[network.slices]")
    template.write_text(head.replace("channels = 3", "channels = 1") + rest[rest.index("[") :])
    code, _, err = run("resnet", file, "--manifest", template, "-o", tmp_path / "mine")
    assert (code, "the manifest has no [network.slices]" in err) == (4, True), err
    assert not (tmp_path / "mine").exists()
