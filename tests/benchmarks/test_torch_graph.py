"""PyTorch as a peer computes what the ONNX file says, or its times would be of something else."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from vfx_edge.manifest import load_model_set

torch = pytest.importorskip("torch")


def answers(model: bytes, given: np.ndarray, *, channels_last: bool) -> tuple[np.ndarray, ...]:
    """PyTorch's and ONNX Runtime's."""
    from benchmarks.torch_graph import TorchGraph

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {session.get_inputs()[0].name: given})
    with torch.inference_mode():
        got = TorchGraph(model, channels_last=channels_last)(torch.from_numpy(given.copy()))
    return got.numpy(), wanted


def model_of(nodes: list[onnx.NodeProto], out: list[int], **constants: np.ndarray) -> bytes:
    """x: (2, 4, 6, 8, 10) -> y."""
    shape: list[str | int] = ["n", 4, 6, 8, 10]
    graph = helper.make_graph(
        nodes,
        "tried",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", *out])],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    made.ir_version = 10
    data: bytes = made.SerializeToString()
    return data


NOISE = np.random.default_rng(0).normal(size=(2, 4, 6, 8, 10)).astype(np.float32)


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_value_that_is_needed_later_survives_an_activation_in_place(channels_last: bool) -> None:
    weight = np.random.default_rng(1).normal(size=(4, 4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], kernel_shape=[3] * 3, pads=[1] * 6),
        helper.make_node("LeakyRelu", ["c"], ["a"], alpha=0.1),
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("Concat", ["a", "c", "r", "x"], ["y"], axis=1),
    ]
    model = model_of(nodes, [16, 6, 8, 10], w=weight)
    got, wanted = answers(model, NOISE, channels_last=channels_last)
    np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_strides_pads_slices_and_reductions_mean_what_onnx_means() -> None:
    weight = np.random.default_rng(2).normal(size=(4, 3, 2, 2, 2)).astype(np.float32)
    numbers: dict[str, np.ndarray] = {
        "starts": np.array([1, 0]), "ends": np.array([2**62, -1]), "axes": np.array([1, 4]),
        "two": np.array([2, 3, 4]), "half": np.array([0.5], np.float16),
    }  # fmt: skip
    nodes = [
        helper.make_node("ConvTranspose", ["x", "w"], ["t"], strides=[2] * 3, kernel_shape=[2] * 3),
        helper.make_node("MaxPool", ["t"], ["p"], kernel_shape=[2] * 3, strides=[2] * 3),
        helper.make_node("Slice", ["p", "starts", "ends", "axes"], ["s"]),
        helper.make_node("Cast", ["half"], ["h"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["s", "h"], ["m"]),
        helper.make_node("ReduceLogSumExp", ["m", "two"], ["y"], keepdims=0),
    ]
    got, wanted = answers(model_of(nodes, [2], w=weight, **numbers), NOISE, channels_last=False)
    np.testing.assert_allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize("role", ["labeller", "classifier"])  # all the operations there are
def test_shipped_networks_answer_alike(role: str) -> None:
    spec = load_model_set("default").network(role)
    noise = np.random.default_rng(3).uniform(-1, 1, (2, 1, *spec.input.patch_zyx))
    got, wanted = answers(spec.read(), noise.astype(np.float32), channels_last=False)
    np.testing.assert_allclose(got, wanted, atol=1e-3)


def test_an_operation_that_is_not_known_is_refused_by_name() -> None:
    from benchmarks.torch_graph import TorchGraph

    nodes = [helper.make_node("Erf", ["x"], ["y"])]
    with pytest.raises(NotImplementedError, match="Erf"):
        TorchGraph(model_of(nodes, [4, 6, 8, 10]), channels_last=False)
