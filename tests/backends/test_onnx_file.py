"""The small ONNX reader agrees with the onnx package, and survives anything."""

import contextlib
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from tests.tiny_models import tiny_classifier, tiny_segmenter, write_set
from vfx_edge.backends.errors import OnnxInvalid
from vfx_edge.backends.onnx_file import check_signature, operations, read_outline
from vfx_edge.manifest import BatchSpec, NetworkSpec, load_model_set

HERE = Path("some.onnx")


@pytest.fixture
def spec(tmp_path: Path) -> NetworkSpec:
    folder = write_set(tmp_path / "set", {"finder": tiny_segmenter()})
    return load_model_set(folder).network("finder")


@pytest.mark.parametrize("data", [tiny_segmenter(), tiny_classifier(), tiny_segmenter(batch=3)])
def test_it_reads_what_the_onnx_package_reads(data: bytes) -> None:
    model = onnx.load_from_string(data)
    outline = read_outline(data, HERE)
    assert outline.opset == model.opset_import[0].version
    for ours, theirs in (
        (outline.inputs, model.graph.input),
        (outline.outputs, model.graph.output),
    ):
        for tensor, value in zip(ours, theirs, strict=True):
            kind = value.type.tensor_type
            assert tensor.name == value.name
            assert tensor.element_type == kind.elem_type
            assert tensor.shape == tuple(d.dim_value or None for d in kind.shape.dim)
    assert not outline.external_data


def test_it_finds_every_node_also_of_inner_graphs_and_functions() -> None:
    inner = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "inner", [], [])
    deeper = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([deeper, helper.make_node("Relu", ["y"], ["z"])], "outer", [], [])
    own = helper.make_node("QLinearConv", ["a"], ["b"])
    function = helper.make_function("mine", "Own", ["a"], ["b"], [own], [])
    model = helper.make_model(outer, functions=[function])
    found = operations(model.SerializeToString(), HERE)
    assert found == {"If", "Neg", "Relu", "QLinearConv"}
    with pytest.raises(OnnxInvalid, match=r"some\.onnx"):
        operations(b"no network", HERE)


def test_a_fitting_network_passes(spec: NetworkSpec) -> None:
    check_signature(spec, spec.read())


def change(spec: NetworkSpec, **fields: object) -> NetworkSpec:
    """The spec with fields of its input or output replaced: `input_name=...`."""
    for key, value in fields.items():
        part, _, name = key.partition("_")
        spec = replace(spec, **{part: replace(getattr(spec, part), **{name: value})})
    return spec


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"input_name": "picture"}, "no input 'picture', there is 'image'"),
        ({"output_name": "answer"}, "no output 'answer', there is 'logits'"),
        ({"input_channels": 2}, "'image' is \\?x1x8x8x8, the manifest says \\?x2x8x8x8"),
        ({"input_patch_zyx": (8, 8, 16)}, "the manifest says \\?x1x8x8x16"),
        ({"output_classes": ("a", "b")}, "'logits' is \\?x3x8x8x8, the manifest says \\?x2"),
    ],
)
def test_the_first_difference_is_named(
    spec: NetworkSpec, fields: dict[str, object], says: str
) -> None:
    with pytest.raises(OnnxInvalid, match=says):
        check_signature(change(spec, **fields), spec.read())


def test_a_fixed_batch_must_be_the_manifests(spec: NetworkSpec) -> None:
    data = tiny_segmenter(batch=3)
    with pytest.raises(OnnxInvalid, match="batches of 3, the manifest says 1 to 4"):
        check_signature(spec, data)
    check_signature(replace(spec, batch=BatchSpec(min=3, opt=3, max=3)), data)


def test_weights_in_another_file_are_refused(spec: NetworkSpec, tmp_path: Path) -> None:
    model = onnx.load_from_string(tiny_segmenter())
    onnx.save_model(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="w", size_threshold=0
    )
    with pytest.raises(OnnxInvalid, match="weights lie in another file"):
        check_signature(spec, (tmp_path / "m.onnx").read_bytes())


def test_so_are_those_of_a_constant_inside_a_node(spec: NetworkSpec) -> None:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "t")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=tensor)], "g", [], [])
    model = onnx.load_from_string(tiny_segmenter())
    model.graph.node.append(
        helper.make_node("If", ["image"], ["z"], then_branch=inner, else_branch=inner)
    )
    with pytest.raises(OnnxInvalid, match="weights lie in another file"):
        check_signature(spec, model.SerializeToString())


def test_integers_in_and_two_inputs_are_refused(spec: NetworkSpec) -> None:
    model = onnx.load_from_string(tiny_segmenter())
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    with pytest.raises(OnnxInvalid, match="'image' holds no floats"):
        check_signature(spec, model.SerializeToString())
    model = onnx.load_from_string(tiny_segmenter())
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, [1]))
    with pytest.raises(OnnxInvalid, match="2 inputs"):
        check_signature(spec, model.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"GIF89a" * 10, b"\0" * 100, b"\xff" * 100, b"{}" * 50])
def test_other_bytes_are_no_onnx(data: bytes) -> None:
    with pytest.raises(OnnxInvalid, match="export the network again"):
        read_outline(data, HERE)


def test_cut_or_changed_bytes_never_break_the_reader() -> None:
    data = tiny_segmenter()
    rng = np.random.default_rng(0)
    for i in range(400):
        broken = bytearray(data[: rng.integers(len(data))] if i % 2 else data)
        for at in rng.integers(max(len(broken), 1), size=3):
            if broken:
                broken[at] = rng.integers(256)
        with contextlib.suppress(OnnxInvalid):
            read_outline(bytes(broken), HERE)
