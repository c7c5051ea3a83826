"""`export onnx`: strangers' files to sets that answer the same, or a sentence and nothing left."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from export import onnx_fitting
from export.by_manifest import spec_of
from export.template import KINDS
from tests.export.conftest import Run
from tests.export.filling import CLASSES, filled
from vfx_edge.backends import open_models
from vfx_edge.manifest import load_model_set

PATCH = (4, 6, 8)
DENSE = ("n", 3, *PATCH)
Maker = Callable[[Path], None]


def weights(classes: int = 3, channels: int = 1, kind: Any = np.float32) -> onnx.TensorProto:
    values = np.random.default_rng(0).normal(size=(classes, channels, 3, 3, 3)).astype(kind)
    return numpy_helper.from_array(values, "w")


def conv(given: str = "ct", answer: str = "answer") -> NodeProto:
    return helper.make_node("Conv", [given, "w"], [answer], pads=[1] * 6)


def pooled(answer: str = "answer", given: str = "ct") -> list[NodeProto]:
    """One answer for the patch, on a grid of one voxel."""
    return [conv(given, "dense"), helper.make_node("GlobalAveragePool", ["dense"], [answer])]


def value(name: str, shape: Iterable[Any] | None, kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model(
    nodes: list[NodeProto],
    *,
    constants: Iterable[onnx.TensorProto] = (),
    given: Iterable[Any] = (),
    answers: Iterable[Any] = (),
    opset: int = 18,
    **more: Any,
) -> ModelProto:
    """By default (n, 1, *PATCH) to (n, 3, *PATCH), named ct and answer."""
    graph = helper.make_graph(
        nodes,
        "g",
        list(given) or [value("ct", ("n", 1, *PATCH))],
        list(answers) or [value("answer", DENSE)],
        list(constants) or [weights()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **more
    )


def plain(**more: Any) -> ModelProto:
    return model([conv()], **more)


def saved(made: ModelProto | Callable[[], ModelProto]) -> Maker:
    return lambda path: onnx.save(made if isinstance(made, ModelProto) else made(), path)


# --- what is taken ------------------------------------------------------------------------------


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


def ends_of(kind: int) -> Maker:
    ends = {
        "given": [value("ct", ("n", 1, *PATCH), kind)],
        "answers": [value("answer", DENSE, kind)],
    }
    return saved(plain(constants=[weights(kind=helper.tensor_dtype_to_np_dtype(kind))], **ends))


def channels_last(path: Path) -> None:
    nodes = [
        helper.make_node("Transpose", ["ct"], ["a"], perm=[0, 4, 1, 2, 3]),
        conv("a", "b"),
        helper.make_node("Transpose", ["b"], ["answer"], perm=[0, 2, 3, 4, 1]),
    ]
    ends = {
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
        numpy_helper.from_array(np.float32(0.02), "s"),
        numpy_helper.from_array(np.int8(0), "z"),
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
    return session.run(["answer"], feed)[0].astype(np.float32)


# --- what is refused ----------------------------------------------------------------------------


def outside(location: str, **facts: str) -> Maker:
    """Weights in another file, as the facts say."""

    def make(path: Path) -> None:
        (path.parent / "w.bin").write_bytes(bytes(3 * 27 * 4))
        (path.parent.parent / "secret.bin").write_bytes(bytes(3 * 27 * 4))
        with_link = path.parent / "link.bin"
        with_link.symlink_to(path.parent.parent / "secret.bin")
        made = plain()
        (tensor,) = made.graph.initializer
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, text in {"location": location, **facts}.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, text
        if facts.get("dims"):
            tensor.dims[:] = [2**20, 2**20, 3, 3, 3]
        path.write_bytes(made.SerializeToString())

    return make


def bomb() -> ModelProto:
    """A constant of 40 GB in a file of 300 bytes."""
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["big"]),
        helper.make_node("ReduceMax", ["big"], ["most"], keepdims=0),
        conv("ct", "a"),
        helper.make_node("Add", ["a", "most"], ["answer"]),
    ]
    size = numpy_helper.from_array(np.array([100_000, 100_000]), "size")
    return model(nodes, constants=[weights(), size])


def endless() -> ModelProto:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Add", ["v", "v"], ["u"])],
        "body",
        [value("i", [], TensorProto.INT64), value("c", [], TensorProto.BOOL), value("v", None)],
        [value("d", [], TensorProto.BOOL), value("u", None)],
    )
    nodes = [conv("ct", "a"), helper.make_node("Loop", ["", "go", "a"], ["answer"], body=body)]
    return model(nodes, constants=[weights(), numpy_helper.from_array(np.array(True), "go")])


def unfolding(times: int, depth: int) -> ModelProto:
    """Functions of functions: `times` to the power of `depth` operations."""
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("mine", 1)]
    functions = []
    for i in range(depth):
        inner = ("Relu", "") if i == depth - 1 else (f"F{i + 1}", "mine")
        names = ["x", *(f"t{k}" for k in range(1, times)), "y"]
        body = [
            helper.make_node(inner[0], [names[k]], [names[k + 1]], domain=inner[1])
            for k in range(times)
        ]
        functions.append(helper.make_function("mine", f"F{i}", ["x"], ["y"], body, opsets))
    nodes = [conv("ct", "a"), helper.make_node("F0", ["a"], ["answer"], domain="mine")]
    made = model(nodes, functions=functions)
    made.opset_import.append(helper.make_opsetid("mine", 1))
    return made


def calls_itself() -> ModelProto:
    made = unfolding(1, 1)
    made.functions[0].node[0].op_type, made.functions[0].node[0].domain = "F0", "mine"
    return made


def nested() -> ModelProto:
    made = plain()
    node = conv()
    for _ in range(12):
        inner = helper.make_graph([node], "inner", [], [value("answer", DENSE)])
        node = helper.make_node("If", ["go"], ["answer"], then_branch=inner, else_branch=inner)
    del made.graph.node[:]
    made.graph.node.append(node)
    made.graph.initializer.append(numpy_helper.from_array(np.array(True), "go"))
    return made


def labels() -> ModelProto:
    nodes = [conv("ct", "a"), helper.make_node("ArgMax", ["a"], ["answer"], axis=1)]
    return model(nodes, answers=[value("answer", ("n", 1, *PATCH), TensorProto.INT64)])


def custom() -> ModelProto:
    made = model([helper.make_node("FusedConv", ["ct", "w"], ["answer"], domain="com.microsoft")])
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


def sixteen_bits() -> ModelProto:
    constants = [
        numpy_helper.from_array(np.zeros((3, 1, 3, 3, 3), np.int16), "q"),
        numpy_helper.from_array(np.float32(0.02), "s"),
    ]
    nodes = [helper.make_node("DequantizeLinear", ["q", "s"], ["w"]), conv()]
    return model(nodes, constants=constants, opset=21)


def text(path: Path) -> None:
    path.write_text("no network")


def cut_short(path: Path) -> None:
    path.write_bytes(plain().SerializeToString()[:-7])


REFUSED: dict[str, tuple[Maker, str]] = {
    "a text": (text, "no usable ONNX network"),
    "cut short": (cut_short, "no usable ONNX network"),
    "a folder": (Path.mkdir, "it is no file"),
    "a pipe": (os.mkfifo, "it is no file"),
    "opset 6": (saved(plain(opset=6)), "written in opset 6, 7 to 24 are known"),
    "opset 26": (saved(plain(opset=26)), "written in opset 26"),
    "path upwards": (outside("../secret.bin"), "lie in '../secret.bin', which is not beside it"),
    "Windows path": (outside("..\\secret.bin"), "which is not beside it"),
    "absolute": (outside("/etc/passwd"), "which is not beside it"),
    "a link": (outside("link.bin"), "no such file beside it): put that file there, no link"),
    "missing": (outside("gone.bin"), "no such file beside it"),
    "too long": (outside("w.bin", length="9" * 18), "the weights of 'w' are not whole in 'w.bin'"),
    "negative": (outside("w.bin", offset="-4"), "the weights of 'w' are not whole in 'w.bin'"),
    "huge": (outside("w.bin", dims="huge"), "the weights of 'w' are not whole in 'w.bin'"),
    "memory bomb": (saved(bomb), "ONNX Runtime can't run it"),
    "endless loop": (saved(endless), "ONNX Runtime can't run it"),
    "unfolds": (saved(lambda: unfolding(10, 6)), "unfold to more than 100000 operations"),
    "calls itself": (saved(calls_itself), "its function F0 calls itself"),
    "nested": (saved(nested), "graphs are nested too deep"),
    "labels": (saved(labels), "output 'answer' holds int64, not floating-point numbers"),
    "whole numbers": (
        saved(model([helper.make_node("Cast", ["ct"], ["c"], to=1), conv("c")],
                    given=[value("ct", ("n", 1, *PATCH), TensorProto.INT16)])),
        "its input 'ct' holds int16",
    ),
    "another's operations": (saved(custom), "its operation FusedConv is one of 'com.microsoft'"),
    "16 bits": (saved(sixteen_bits), "it is quantised to INT16"),
    "double": (ends_of(TensorProto.DOUBLE), "ONNX Runtime can't run it"),
    "no output": (saved(plain(answers=[value("other", DENSE)])), "can't be used"),
    "two-dimensional": (
        saved(model([helper.make_node("Relu", ["ct"], ["answer"])],
                    given=[value("ct", ("n", 3, 8, 8))], answers=[value("answer", None)])),
        "it takes 3x8x8, the manifest says 1x4x6x8",
    ),
    "half the size": (
        saved(model([helper.make_node("Conv", ["ct", "w"], ["answer"], strides=[2] * 3)],
                    answers=[value("answer", None)])),
        "it answers 2x3x1x2x3 to 2x1x4x6x8",
    ),
    "NaN": (
        saved(model([conv("ct", "a"), helper.make_node("Log", ["a"], ["answer"])])),
        "answers NaN or infinities",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_others_are_refused_in_one_sentence_and_nothing_is_left(
    name: str, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_fitting, "SECONDS", 0.3)
    make, says = REFUSED[name]
    (tmp_path / "in").mkdir()
    file, manifest = tmp_path / "in" / "n.onnx", tmp_path / "mine.toml"
    sound = tmp_path / "sound.onnx"
    onnx.save(plain(), sound)
    run("onnx", sound, "--template", manifest, "--role", "finder")
    filled(manifest, "finder", {"output.classes": ("centre", "b", "c")})
    make(file)
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run("onnx", file, "--manifest", manifest, "-o", tmp_path / "mine")
    assert (code, out, err.count("\n")) == (4, "", 1), err
    assert says in err
    assert sorted(tmp_path.rglob("*")) == before


# --- templates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", KINDS)
def test_the_template_of_each_role_is_a_manifest_once_it_is_filled_in(
    role: str, tmp_path: Path, run: Run
) -> None:
    kind, count = KINDS[role], len(CLASSES[role])
    given = [value("ct", ("n", kind.channels, *PATCH))]
    constants = [weights(count, kind.channels)]
    if kind.voxelwise:
        made = model(
            [conv()],
            constants=constants,
            given=given,
            answers=[value("answer", ("n", count, *PATCH))],
        )
    else:
        made = model(
            pooled(),
            constants=constants,
            given=given,
            answers=[value("answer", ("n", count, 1, 1, 1))],
        )
    file, manifest = tmp_path / "n.onnx", tmp_path / "mine.toml"
    onnx.save(made, file)
    code, _, err = run("onnx", file, "--template", manifest, "--role", role)
    assert code == 0, err
    code, _, err = run("onnx", file, "--manifest", manifest, "-o", tmp_path / "mine")
    assert (code, "still holds the template's words" in err) == (4, True), err
    spec = spec_of(filled(manifest, role))
    assert spec.roles == (("labeller", "segmenter") if role == "joint" else (role,))
    code, _, err = run("onnx", file, "--manifest", manifest, "-o", tmp_path / "mine")
    assert code == 0, err


def test_without_a_role_the_fitting_ones_are_named(tmp_path: Path, run: Run) -> None:
    onnx.save(plain(), tmp_path / "n.onnx")
    code, _, err = run("onnx", tmp_path / "n.onnx", "--template", tmp_path / "mine.toml")
    assert (code, err.count("\n")) == (2, 1)
    assert "1 channel, 3 classes for each voxel can be locator, finder, joint" in err
    assert not (tmp_path / "mine.toml").exists()


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
