"""What `export onnx` refuses: in one sentence, and nothing is left."""

import os
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from export import onnx_asking
from tests.export.conftest import Run
from tests.export.filling import filled
from tests.export.onnx_files import (
    DENSE,
    PATCH,
    Maker,
    conv,
    ends_of,
    model,
    plain,
    saved,
    value,
    weights,
)


def zipped(file: Path) -> None:
    """As torch.save and torch.export.save write their files."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/byteorder", b"little")


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
        numpy_helper.from_array(np.array(0.02, np.float32), "s"),
    ]
    nodes = [helper.make_node("DequantizeLinear", ["q", "s"], ["w"]), conv()]
    return model(nodes, constants=constants, opset=21)


def unknown_numbers() -> ModelProto:
    made = sixteen_bits()
    made.graph.initializer[0].data_type = 79
    return made


def leads_nowhere() -> ModelProto:
    """A node without an output, and an answer whose shape has to be inferred."""
    nodes = [conv(), helper.make_node("Conv", ["ct", "w"], [])]
    return model(nodes, answers=[value("answer", None)])


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
    "long name": (outside("w" * 300), "no such file beside it"),
    "missing": (outside("gone.bin"), "no such file beside it"),
    "too long": (outside("w.bin", length="9" * 18), "the weights of 'w' are not whole in 'w.bin'"),
    "negative": (outside("w.bin", offset="-4"), "the weights of 'w' are not whole in 'w.bin'"),
    "huge": (outside("w.bin", dims="huge"), "the weights of 'w' are not whole in 'w.bin'"),
    "memory bomb": (saved(bomb), "it needs more than 8 GiB of memory"),
    "endless loop": (saved(endless), "it gave no answer within 0 minutes"),
    "unfolds": (saved(lambda: unfolding(10, 6)), "unfold to more than 100000 operations"),
    "calls itself": (saved(calls_itself), "its function F0 calls itself"),
    "nested": (saved(nested), "graphs are nested too deep"),
    "a .pt2": (zipped, "give it to python -m export network, monai or nnunet"),
    "labels": (saved(labels), "output 'answer' holds int64, not floating-point numbers"),
    "whole numbers": (
        saved(model([helper.make_node("Cast", ["ct"], ["c"], to=1), conv("c")],
                    given=[value("ct", ("n", 1, *PATCH), TensorProto.INT16)])),
        "its input 'ct' holds int16",
    ),
    "another's operations": (saved(custom), "its operation FusedConv is one of 'com.microsoft'"),
    "16 bits": (saved(sixteen_bits), "it is quantised to INT16"),
    "unknown numbers": (saved(unknown_numbers), "it is quantised to the unknown kind 79"),
    "leads nowhere": (saved(leads_nowhere), "Output 0 is out of bounds"),
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
    monkeypatch.setattr(onnx_asking, "SECONDS", 0.3)
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
