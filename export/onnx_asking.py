"""A stranger's network is asked: one batch, within bounds of memory and time."""

import functools
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from export.onnx_reading import NotOnnx
from vfx_edge.backends.onnxruntime_backend import FATAL, exceptions, runtime

MOST_GIB = 8.0
"""While a stranger's network is asked."""
SECONDS = 600.0
"""Until it has to have answered."""
KINDS = {
    TensorProto.FLOAT: np.float32, TensorProto.FLOAT16: np.float16, TensorProto.DOUBLE: np.float64,
}  # fmt: skip
"""Of numbers that an input may take."""
Floats = NDArray[np.float32]


@functools.cache
def _bounded() -> str:
    """The session setting for memory of at most MOST_GIB, which this process now has."""
    onnxruntime = runtime()
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    limits = {"max_mem": int(MOST_GIB * 2**30), "arena_extend_strategy": 1}  # no more than asked
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(limits))
    return "session.use_env_allocators"


def ask(model: ModelProto, batch: Floats, path: Path) -> Floats:
    """The network's answer, float32. NotOnnx when there is none within bounds of memory and time.

    Operation by operation: an optimiser would compute constants outside of these bounds.
    """
    onnxruntime, given = runtime(), model.graph.input[0]
    options, run = onnxruntime.SessionOptions(), onnxruntime.RunOptions()
    options.log_severity_level = run.log_severity_level = FATAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry(_bounded(), "1")
    numbers = np.ascontiguousarray(batch, KINDS[given.type.tensor_type.elem_type])
    timer = threading.Timer(SECONDS, lambda: setattr(run, "terminate", True))
    timer.daemon = True
    timer.start()
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        (answer,) = session.run([model.graph.output[0].name], {given.name: numbers}, run)
    except exceptions() as error:
        raise NotOnnx(path, _reason(str(error))) from error
    finally:
        timer.cancel()
    return np.asarray(answer, np.float32)


def _reason(words: str) -> str:
    """Why there was no answer, of ONNX Runtime's own words."""
    if "terminate flag" in words:
        return f"it gave no answer within {SECONDS / 60:.0f} minutes"
    if "Available memory" in words:
        return f"it needs more than {MOST_GIB:.0f} GiB of memory"
    return f"ONNX Runtime can't run it: {words}"
