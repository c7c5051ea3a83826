"""One way to run a network by OpenVINO, in a process of its own."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.results import threads
from vfx_edge.backends.openvino_backend import PRECISIONS, native_precision
from vfx_edge.bench.protocol import serve
from vfx_edge.manifest import NetworkSpec, load_model_set
from vfx_edge.memory import peak_rss_mib

PATCHES = 16
"""In each timed pass."""


@dataclass(frozen=True)
class Order:
    """streams: requests computed side by side, a share of the cores each. fixed: whether the
    batch's size is compiled in."""

    role: str
    batch: int
    streams: int
    fixed: bool
    passes: int


def measured(order: Order) -> dict[str, Any]:
    """Seconds to open and for the first request, seconds of each pass over PATCHES patches, and by
    how many MiB the process has grown."""
    from openvino import AsyncInferQueue

    spec = load_model_set("default").network(order.role)
    before = peak_rss_mib()
    begin = time.perf_counter()
    compiled = _compiled(spec, order)
    queue = AsyncInferQueue(compiled, order.streams)
    opened = time.perf_counter()
    shape = (PATCHES, spec.input.channels, *spec.input.patch_zyx)
    patches = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    batches = [patches[at : at + order.batch] for at in range(0, PATCHES, order.batch)]
    start = time.perf_counter()
    _pass(queue, batches[:1])
    first = time.perf_counter() - start
    _pass(queue, batches)
    seconds = []
    for _ in range(order.passes):
        start = time.perf_counter()
        _pass(queue, batches)
        seconds.append(time.perf_counter() - start)
    grown = peak_rss_mib() - before
    return {"open_s": opened - begin, "first_s": first, "pass_s": seconds, "grown_mib": grown}


def _compiled(spec: NetworkSpec, order: Order) -> Any:
    from openvino import Core

    core = Core()
    model = core.read_model(spec.read())
    if order.fixed:
        model.reshape({spec.input.name: [order.batch, spec.input.channels, *spec.input.patch_zyx]})
    settings = {
        "INFERENCE_NUM_THREADS": str(threads()),
        "NUM_STREAMS": str(order.streams),
        "INFERENCE_PRECISION_HINT": PRECISIONS[native_precision()],
    }
    return core.compile_model(model, "CPU", settings)


def _pass(queue: Any, batches: list[Any]) -> None:
    for batch in batches:
        queue.start_async({0: batch}, share_inputs=True)
    queue.wait_all()


if __name__ == "__main__":
    serve(lambda order, parent: parent.report("measured", **measured(Order(**order))))
