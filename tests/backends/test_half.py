"""FP32 networks made to compute in FP16: what is converted, what is not, and what it costs."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, shape_inference

from tests.tiny_models import tiny_classifier, tiny_segmenter, write_set
from vfx_edge.backends.errors import OnnxInvalid
from vfx_edge.backends.half import half_of, half_precision, kept_full
from vfx_edge.backends.network import activate
from vfx_edge.manifest import NetworkSpec, load_model_set
from vfx_edge.phantom import PhantomSpec, make_phantom
from vfx_edge.vocabulary import NEEDED_ROLES

WEIGHTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}


def model(nodes: list[onnx.NodeProto], constants: Mapping[str, object], classes: int = 3) -> bytes:
    """Nodes from `x` (n, 1, 8, 8, 8) to `y` (n, classes, ...)."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", classes, 8, 8, 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 18)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString())


def kernel(scale: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (scale * rng.normal(size=(3, 1, 3, 3, 3)) / 5).astype(np.float32)


def types(data: bytes) -> dict[str, str]:
    """Op type -> the float type of what it computes ("mixed" where nodes differ)."""
    inferred = shape_inference.infer_shapes(onnx.load_from_string(data), strict_mode=True)
    values = (*inferred.graph.value_info, *inferred.graph.output)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    names = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16"}
    found: dict[str, str] = {}
    for node in inferred.graph.node:
        kind = names.get(kinds[node.output[0]], "other")
        found[node.op_type] = kind if found.get(node.op_type, kind) == kind else "mixed"
    return found


def run(data: bytes, batch: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: batch})[0])


def outside(data: bytes) -> list[tuple[str, int, list[str | int]]]:
    graph = onnx.load_from_string(data).graph
    return [
        (v.name, t.elem_type, [d.dim_param or d.dim_value for d in t.shape.dim])
        for v in (*graph.input, *graph.output)
        for t in [v.type.tensor_type]
    ]


@pytest.mark.parametrize("data", [tiny_segmenter(), tiny_classifier()], ids=["dense", "pooled"])
def test_the_outside_stays_and_the_same_bytes_give_the_same_bytes(data: bytes) -> None:
    half = half_precision(data)
    assert outside(half) == outside(data)
    assert half_precision(data) == half
    assert half_precision(half) == half
    assert types(half)["Conv"] == "fp16"
    batch = np.random.default_rng(1).normal(size=(3, 1, 8, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(run(half, batch), run(data, batch), atol=5e-3)


def test_normalisation_softmax_and_preprocessing_stay_in_fp32() -> None:
    """As an exporter may take them apart; HU are added to before the first convolution."""
    axes = np.array([2, 3, 4], np.int64)
    make = helper.make_node
    nodes = [
        make("Add", ["x", "offset"], ["hu"]),
        make("Conv", ["hu", "w"], ["c"], pads=[1] * 6),
        make("ReduceMean", ["c", "axes"], ["mean"]),
        make("Sub", ["c", "mean"], ["centred"]),
        make("Pow", ["centred", "two"], ["squares"]),
        make("ReduceMean", ["squares", "axes"], ["variance"]),
        make("Sqrt", ["variance"], ["deviation"]),
        make("Div", ["centred", "deviation"], ["normal"]),
        make("Relu", ["normal"], ["r"]),
        make("Conv", ["r", "w2"], ["c2"], pads=[1] * 6),
        make("Add", ["c2", "r"], ["sum"]),
        make("Conv", ["sum", "w2"], ["c3"], pads=[1] * 6),
        make("Softmax", ["c3"], ["y"], axis=1),
    ]
    second = np.random.default_rng(2).normal(size=(3, 3, 3, 3, 3)).astype(np.float32) / 9
    constants = {"offset": np.float32(1000.3), "two": np.float32(2), "axes": axes}
    data = model(nodes, {**constants, "w": kernel(), "w2": second})
    kinds = types(half_precision(data))
    assert {op for op, kind in kinds.items() if kind == "fp16"} == {"Conv", "Relu"}
    assert kinds["Add"] == "mixed"  # the residual one in FP16, that of HU not
    taken_apart = {"Add", "Div", "Pow", "ReduceMean", "Softmax", "Sqrt", "Sub"}
    assert set(kept_full(half_precision(data))) == taken_apart
    # squares of HU would overflow FP16
    batch = 900 * np.random.default_rng(3).normal(size=(2, 1, 8, 8, 8)).astype(np.float32)
    np.testing.assert_allclose(run(half_precision(data), batch), run(data, batch), atol=5e-3)


def test_an_activation_is_no_reason_to_keep_a_node_from_tensorrt() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 6),
        helper.make_node("PRelu", ["c", "slope"], ["r"]),
        helper.make_node("Mul", ["r", "slope"], ["y"]),
    ]
    half = half_precision(
        model(nodes, {"w": kernel(), "slope": np.full((1,) * 5, 0.2, np.float32)})
    )
    assert types(half)["PRelu"] == "fp32"
    assert kept_full(half) == ("Mul",)


def test_a_node_whose_constants_overflow_stays_in_fp32() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 6),
        helper.make_node("Sigmoid", ["c"], ["y"]),
    ]
    kinds = types(half_precision(model(nodes, {"w": kernel(scale=1e6)})))
    assert "fp16" not in kinds.values()


def test_weights_stored_in_half_are_used_as_they_are() -> None:
    nodes = [
        helper.make_node("Cast", ["w.half"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 6),
    ]
    half = half_precision(model(nodes, {"w.half": kernel().astype(np.float16)}))
    graph = onnx.load_from_string(half).graph
    assert [tensor.name for tensor in graph.initializer] == ["w.half"]
    assert [node.op_type for node in graph.node] == ["Cast", "Conv", "Cast"]


def test_what_a_branch_reads_is_still_there() -> None:
    """A graph inside an If reads tensors from outside by name."""
    out = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    then, other = (
        helper.make_graph([helper.make_node(op, ["c"], ["o"])], op, [], [out])
        for op in ("Sigmoid", "Neg")
    )
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 6),
        helper.make_node("If", ["yes"], ["y"], then_branch=then, else_branch=other),
    ]
    data = model(nodes, {"w": kernel(), "yes": np.array(True)})
    batch = np.ones((1, 1, 8, 8, 8), np.float32)
    np.testing.assert_allclose(run(half_precision(data), batch), run(data, batch), atol=1e-3)


def test_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="no ONNX network"):
        half_precision(b"no network at all")


def test_a_quantised_one_has_no_fp16_form() -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 6),
    ]
    whole = np.ones_like(kernel(), np.int8)
    with pytest.raises(ValueError, match="INT8 file has no FP16 form"):
        half_precision(model(nodes, {"q": whole, "s": np.array(0.02, np.float32)}))


@pytest.fixture(scope="module")
def phantom() -> np.ndarray:
    """A lumbar spine in 3 mm voxels, HU."""
    return make_phantom(
        PhantomSpec(levels=("L1", "L4"), seed=3, spacing_mm=3.0, pixel_mm=3.0, matrix=(96, 96))
    ).hu


def patch(spec: NetworkSpec, hu: np.ndarray) -> np.ndarray:
    """The phantom's middle, repeated where it ends, fed as the manifest says; a guide beside it."""
    places = [
        np.arange(size // 2 - p // 2, size // 2 - p // 2 + p) % size
        for p, size in zip(spec.input.patch_zyx, hu.shape, strict=True)
    ]
    image = spec.input.normalise(hu[np.ix_(*places)])
    grid = np.meshgrid(*(np.linspace(-1, 1, size) for size in image.shape), indexing="ij")
    guide = np.exp(-8 * sum(axis**2 for axis in grid)).astype(np.float32)
    return np.stack([image, guide][: spec.input.channels])[None]


@pytest.mark.parametrize("role", NEEDED_ROLES)
def test_every_shipped_network_answers_the_same(role: str, phantom: np.ndarray) -> None:
    spec = load_model_set().network(role)
    data = spec.read()
    half = half_of(spec, data)
    assert outside(half) == outside(data)
    kinds = types(half)
    assert {kinds[op] for op in WEIGHTS & set(kinds)} == {"fp16"}
    assert kinds["InstanceNormalization"] == "fp32"
    # what TensorRT would lower: nothing in between the convolutions of a plain U-Net
    assert role != "segmenter" or kept_full(half) == ()
    assert len(half) <= len(data) + 10_000
    batch = patch(spec, phantom)
    fast, exact = (activate(run(form, batch), spec.output.activation) for form in (half, data))
    gap = np.abs(fast - exact).max()
    assert 0 < gap <= min(5e-3, spec.precision.max_probability_difference)


def with_half(folder: Path, half: bytes, digest: str = "") -> NetworkSpec:
    """A tiny set that names an FP16 file."""
    write_set(folder, {"finder": tiny_segmenter()})
    (folder / "half.onnx").write_bytes(half)
    lines = f'file_fp16 = "half.onnx"\nsha256_fp16 = "{digest or hashlib.sha256(half).hexdigest()}"'
    manifest = folder / "manifest.toml"
    text = manifest.read_text("utf-8").replace("[network.input]", f"{lines}\n[network.input]", 1)
    manifest.write_text(text, "utf-8")
    return load_model_set(folder).network("finder")


def test_the_file_of_the_set_goes_before_one_derived(tmp_path: Path) -> None:
    other = half_precision(tiny_segmenter(seed=5))
    spec = with_half(tmp_path / "set", other)
    assert half_of(spec, spec.read()) == other
    wrong = with_half(tmp_path / "wrong", half_precision(tiny_segmenter(patch=16)))
    with pytest.raises(OnnxInvalid, match=r"half.onnx .*16x16x16"):
        half_of(wrong, wrong.read())


def test_a_network_that_can_not_be_converted_is_a_model_error(tmp_path: Path) -> None:
    spec = load_model_set(write_set(tmp_path, {"finder": tiny_segmenter()})).networks[0]
    with pytest.raises(OnnxInvalid, match=r"finder\.onnx is no usable ONNX network"):
        half_of(spec, b"broken")
