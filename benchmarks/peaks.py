"""What this machine can do at best: matrix products, 3-D convolutions, memory traffic."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.operations import taps
from benchmarks.results import threads

Floats = NDArray[np.float32]
DEPTH = 8
"""Convolutions one after another: turning the layout at both ends then counts for little."""
OPENVINO_NAMES = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""Precision -> what OpenVINO is told; int8 stands in the graph, and the rest of it is fp32."""
SPREAD = 4.0
"""Numbers beyond so many standard deviations are cut off in int8."""


@dataclass(frozen=True)
class Conv:
    """3 x 3 x 3, stride 1, as many channels out as in; `edge` voxels a side."""

    channels: int
    edge: int
    batch: int

    @property
    def title(self) -> str:
        return f"{self.channels} to {self.channels} channels, {self.batch} x {self.edge}³"

    @property
    def gflop(self) -> float:
        """Of the whole chain of DEPTH, without the padding."""
        inside = taps(self.edge, self.edge, 3, pad=1) ** 3
        return 2 * self.channels**2 * inside * self.batch * DEPTH / 1e9

    @property
    def weight_spread(self) -> float:
        """Of weights that keep the size of what passes through them."""
        return float((27 * self.channels) ** -0.5)


# What occurs in the shipped U-Nets, level by level; then two that fill the machine better.
CONVS = (
    Conv(16, 64, 4), Conv(32, 32, 4), Conv(64, 16, 4), Conv(128, 8, 4), Conv(64, 32, 4),
    Conv(128, 32, 1),
)  # fmt: skip
GEMM = 2048
UNKNOWN = (("PyTorch", "int8"),)
"""Runtime and precision that are not measured: PyTorch has no 8-bit 3-D convolution of its own."""


def timed(function: Callable[[], Any], repeat: int) -> list[float]:
    """Seconds of each call, after two that are not counted."""
    function(), function()
    seconds = []
    for _ in range(repeat):
        begin = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - begin)
    return seconds


def openvino_gemm(size: int, precision: str, repeat: int) -> list[float]:
    """DEPTH products of a (size, size) matrix with constant ones, one after another."""
    from openvino import opset13 as ops

    draw = np.random.default_rng(0)
    given = result = ops.parameter([size, size], np.float32)
    for _ in range(DEPTH):
        weight = draw.normal(0, size**-0.5, (size, size)).astype(np.float32)
        result = ops.matmul(result, ops.constant(weight), False, False)
    return _openvino(result, given, precision, repeat)


def openvino_conv(conv: Conv, precision: str, repeat: int) -> list[float]:
    """DEPTH convolutions, one after another."""
    from openvino import opset13 as ops

    given = result = ops.parameter([conv.batch, conv.channels, *[conv.edge] * 3], np.float32)
    for weight in _weights(conv):
        kernel = ops.constant(weight)
        if precision == "int8":
            result, kernel = _quantised(result, 256), _quantised(kernel, 255, conv.weight_spread)
        result = ops.convolution(result, kernel, [1] * 3, [1] * 3, [1] * 3, [1] * 3)
    return _openvino(result, given, precision, repeat)


def _quantised(numbers: Any, levels: int, spread: float = 1.0) -> Any:
    """The same in so many steps between ± SPREAD standard deviations: what OpenVINO computes in
    8-bit whole numbers."""
    from openvino import opset13 as ops

    ends = [ops.constant(np.float32(sign * SPREAD * spread)) for sign in (-1, 1)]
    return ops.fake_quantize(numbers, *ends, *ends, levels)


def _openvino(result: Any, given: Any, precision: str, repeat: int) -> list[float]:
    from openvino import Core, Model

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": OPENVINO_NAMES[precision],
        "INFERENCE_NUM_THREADS": str(threads()),
    }
    compiled = Core().compile_model(Model([result], [given]), "CPU", settings)
    request = compiled.create_infer_request()
    shape = tuple(given.get_output_shape(0))
    numbers = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    return timed(lambda: request.infer({0: numbers}, share_inputs=True), repeat)


def torch_gemm(size: int, precision: str, repeat: int) -> list[float]:
    """The same by PyTorch."""
    import torch

    torch.set_num_threads(threads())
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    weights = [(torch.randn(size, size) * size**-0.5).to(kind) for _ in range(DEPTH)]
    given = torch.randn(size, size).to(kind)

    def run() -> None:
        result = given
        for weight in weights:
            result = result @ weight

    with torch.inference_mode():
        return timed(run, repeat)


def torch_conv(conv: Conv, precision: str, repeat: int) -> list[float]:
    """The same by PyTorch, channels last, which is its fastest."""
    import torch
    import torch.nn.functional as F

    torch.set_num_threads(threads())
    kind = torch.bfloat16 if precision == "bf16" else torch.float32

    def laid_out(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(dtype=kind, memory_format=torch.channels_last_3d)

    weights = [laid_out(torch.from_numpy(weight)) for weight in _weights(conv)]
    given = laid_out(torch.randn(conv.batch, conv.channels, *[conv.edge] * 3))

    def run() -> None:
        result = given
        for weight in weights:
            result = F.conv3d(result, weight, padding=1)

    with torch.inference_mode():
        return timed(run, repeat)


def _weights(conv: Conv) -> list[Floats]:
    draw = np.random.default_rng(0)
    shape = (conv.channels, conv.channels, 3, 3, 3)
    return [draw.normal(0, conv.weight_spread, shape).astype(np.float32) for _ in range(DEPTH)]


def memory_seconds(mib: int, repeat: int) -> list[float]:
    """STREAM's "add", a = b + c, on arrays of `mib` each: 3 x mib are moved, in all threads."""
    count = mib * 2**20 // 8
    a, b, c = np.zeros(count), np.ones(count), np.ones(count)
    workers = threads()
    parts = [slice(count * n // workers, count * (n + 1) // workers) for n in range(workers)]

    def add(part: slice) -> None:
        np.add(b[part], c[part], out=a[part])

    with ThreadPoolExecutor(workers) as pool:
        return timed(lambda: list(pool.map(add, parts)), repeat)
