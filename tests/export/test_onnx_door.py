"""`export onnx`: strangers' files become sets that answer the same."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tests.export.conftest import Run
from tests.export.filling import CLASSES, filled
from tests.export.onnx_files import (
    DENSE,
    PATCH,
    Maker,
    conv,
    ends_of,
    model,
    plain,
    pooled,
    saved,
    value,
)
from vfx_edge.backends import open_models
from vfx_edge.manifest import load_model_set


def old(path: Path) -> None:
    """As PyTorch 0.4 wrote it: constants listed among the inputs, an operation that is gone."""
    nodes = [
        conv("ct", "a"),
        helper.make_node("Upsample", ["a"], ["b"], scales=[1.0, 1.0, 2.0, 2.0, 2.0]),
        helper.make_node("MaxPool", ["b"], ["answer"], kernel_shape=[2] * 3, strides=[2] * 3),
    ]
    given = [value("ct", ("n", 1, *PATCH)), value("w", (3, 1, 3, 3, 3))]
    made = model(nodes, given=given, opset=7)
    made.ir_version = 3
    onnx.save(made, path)


def newest() -> ModelProto:
    """In a format that no runtime knows yet."""
    made = plain(opset=24)
    made.ir_version = 14
    return made


def weights_outside(path: Path) -> None:
    onnx.save(plain(), path, save_as_external_data=True, location="w.bin", size_threshold=0)


def with_a_function(path: Path) -> None:
    opsets = [helper.make_opsetid("", 18)]
    body = [helper.make_node("Conv", ["x", "k"], ["y"], pads=[1] * 6)]
    function = helper.make_function("mine", "Layer", ["x", "k"], ["y"], body, opsets)
    node = helper.make_node("Layer", ["ct", "w"], ["answer"], domain="mine")
    made = model([node], functions=[function])
    made.opset_import.append(helper.make_opsetid("mine", 1))
    onnx.save(made, path)


def channels_last(path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["ct"], ["a"], perm=[0, 4, 1, 2, 3]),
        conv("a", "b"),
        helper.make_node("Transpose", ["b"], ["answer"], perm=[0, 2, 3, 4, 1]),
    ]
    ends: dict[str, Any] = {
        "given": [value("ct", ("n", *PATCH, 1))],
        "answers": [value("answer", ("n", *PATCH, 3))],
    }
    onnx.save(model(nodes, **ends), path)


def several(path: Path) -> None:
    """Deep supervision, and an input that only the second answer needs."""
    nodes = [conv(), helper.make_node("Mul", ["ct", "scale"], ["coarse"])]
    given = [value("ct", ("n", 1, *PATCH)), value("scale", (1,))]
    answers = [value("answer", DENSE), value("coarse", ("n", 1, *PATCH))]
    onnx.save(model(nodes, given=given, answers=answers), path)


def quantised(path: Path) -> None:
    """QDQ, as `onnxruntime.quantization` writes it: weights and activations."""
    whole = np.random.default_rng(0).integers(-127, 127, (3, 1, 3, 3, 3), np.int8)
    constants = [
        numpy_helper.from_array(whole, "q"),
        numpy_helper.from_array(np.array(0.02, np.float32), "s"),
        numpy_helper.from_array(np.array(0, np.int8), "z"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"]),
        helper.make_node("QuantizeLinear", ["ct", "s", "z"], ["a"]),
        helper.make_node("DequantizeLinear", ["a", "s", "z"], ["b"]),
        conv("b"),
    ]
    onnx.save(model(nodes, constants=constants), path)


def dynamic_int8(path: Path) -> None:
    whole = np.random.default_rng(0).integers(0, 255, (3, 1, 3, 3, 3), np.uint8)
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["ct"], ["a", "s", "z"]),
        helper.make_node("ConvInteger", ["a", "q", "z"], ["b"], pads=[1] * 6),
        helper.make_node("Cast", ["b"], ["c"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["c", "s"], ["answer"]),
    ]
    onnx.save(model(nodes, constants=[numpy_helper.from_array(whole, "q")]), path)


TAKEN: dict[str, tuple[Maker, str, dict[str, Any]]] = {
    # how it is made, a line of its template, what a person must answer besides
    "opset 7": (old, "patch_zyx = [4, 6, 8]", {}),
    "opset 9": (saved(plain(opset=9)), 'name = "answer"', {}),
    "opset 24": (saved(newest), 'stored = "fp32"', {}),
    "weights outside": (weights_outside, "channels = 1", {}),
    "a function": (with_a_function, "max = 8", {}),
    "float16": (ends_of(TensorProto.FLOAT16), 'stored = "fp16"', {}),
    "batch of one": (
        saved(plain(given=[value("ct", (1, 1, *PATCH))], answers=[value("answer", None)])),
        "max = 1",
        {},
    ),
    "free patch": (
        saved(plain(given=[value("ct", "n1zyx")], answers=[value("answer", None)])),
        'patch_zyx = ["<voxels>", "<voxels>", "<voxels>"]',
        {"input.patch_zyx": PATCH, "input.channels": 1, "output.classes": CLASSES["segmenter"]},
    ),
    "channels last": (channels_last, "It takes channels last", {}),
    "several outputs": (
        several,
        'name = "<one of answer, coarse>"',
        {
            "input.name": "ct",
            "input.patch_zyx": PATCH,
            "output.name": "answer",
            "output.classes": CLASSES["locator"],
        },
    ),
    "one voxel": (
        saved(model(pooled(), answers=[value("answer", ("n", 3, 1, 1, 1))])), 'stored = "fp32"', {}
    ),
    "QDQ": (quantised, "quantised to INT8 (static, QDQ)", {}),
    "dynamic INT8": (dynamic_int8, "quantised to INT8 (dynamic)", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_a_strangers_file_becomes_a_set_that_answers_the_same(
    name: str, tmp_path: Path, run: Run
) -> None:
    make, line, answers = TAKEN[name]
    file, manifest, out = tmp_path / "n.onnx", tmp_path / "mine.toml", tmp_path / "mine"
    make(file)
    role = "classifier" if name == "one voxel" else "finder"
    code, _, err = run("onnx", file, "--template", manifest, "--role", role)
    assert code == 0, err
    assert line in manifest.read_text("utf-8").replace("\n# ", " ")
    classes = (
        ("osteoporotic", "malignant", "unknown") if role == "classifier" else ("centre", "b", "c")
    )
    filled(manifest, role, {**answers, "output.classes": classes})
    code, said, err = run("onnx", file, "--manifest", manifest, "-o", out)
    assert (code, err) == (0, ""), "no backend refuses it either"
    with open_models(load_model_set(out), "cpu", roles=[role]) as models:
        network = models.network(role)
        batch = np.random.default_rng(1).normal(size=(1, 1, *PATCH)).astype(np.float32)
        got = network.run(batch)
    wanted = asked(file, batch.transpose(0, 2, 3, 4, 1) if name == "channels last" else batch)
    if name == "channels last":
        wanted = wanted.transpose(0, 4, 1, 2, 3)
    np.testing.assert_allclose(
        got, wanted.reshape(got.shape), atol=1e-2 if name == "float16" else 1e-4
    )
    stored = {"QDQ": "int8", "dynamic INT8": "int8", "float16": "fp16"}.get(name, "fp32")
    assert network.precision == stored
    assert (out / "network.fp16.onnx").exists() == (stored == "fp32")
    assert ("INT8" in said, "INT8" in (out / "card.md").read_text()) == ((stored == "int8"),) * 2


def asked(file: Path, batch: np.ndarray) -> np.ndarray:
    """The file's own first answer, in ONNX Runtime."""
    import onnxruntime

    made = onnx.load(file)
    made.ir_version = min(made.ir_version, 10)
    data = made.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    given = {one.name: one for one in session.get_inputs()}
    kind = np.float16 if given["ct"].type == "tensor(float16)" else np.float32
    feed = {"ct": batch.astype(kind)} | (
        {"scale": np.ones(1, np.float32)} if "scale" in given else {}
    )
    return np.asarray(session.run(["answer"], feed)[0], np.float32)


def test_an_int8_set_is_compared_with_the_float_network(tmp_path: Path, run: Run) -> None:
    file, manifest, out = tmp_path / "q.onnx", tmp_path / "mine.toml", tmp_path / "mine"
    quantised(file)
    run("onnx", file, "--template", manifest, "--role", "finder")
    filled(manifest, "finder", {"output.classes": ("centre", "b", "c")})
    assert run("onnx", file, "--manifest", manifest, "-o", out)[0] == 0
    whole = numpy_helper.to_array(onnx.load(file).graph.initializer[0])
    constant = numpy_helper.from_array(whole.astype(np.float32) * np.float32(0.02), "w")
    given, answers = [value("image", ("n", 1, *PATCH))], [value("logits", DENSE)]
    original = model([conv("image", "logits")], constants=[constant], given=given, answers=answers)
    onnx.save(original, tmp_path / "float.onnx")
    words = ("parity", out, "--no-phantom", "--random", 2, "--no-card")
    code, said, err = run(*words, "--checkpoint", tmp_path / "float.onnx")
    assert "ONNX Runtime on the CPU in fp32 (float.onnx)" in said, err
    assert "* INT8 file" in said
    assert code in (0, 7)
    code, said, err = run(*words)
    assert "what quantising to INT8 changed is not seen" in " ".join(said.split()), err
