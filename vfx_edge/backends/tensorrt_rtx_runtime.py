"""The only door to NVIDIA's `tensorrt_rtx` package: building engines, and running them.

Building needs no GPU. What needs one is `Engine`, and nothing else here.
"""

import functools
import threading
from importlib import metadata
from typing import Any

import numpy as np

_ONE_BUILD = threading.Lock()
"""A build takes gigabytes, and the messages of two at once could not be separated."""

Shape = tuple[int, ...]


class Refused(Exception):
    """TensorRT-RTX refused; the text is its own."""


@functools.cache
def package() -> Any:
    """The package; ImportError or OSError where it, or one of its libraries, is absent."""
    import tensorrt_rtx

    return tensorrt_rtx


def version() -> str:
    """E.g. "1.7.1.116"; ImportError without the package, which is not loaded for this.

    An engine runs with the very version that built it only.
    """
    return metadata.version("tensorrt-rtx")


def architectures() -> tuple[int, ...]:
    """Compute capabilities it builds for, e.g. 75 for 7.5."""
    names = package().ComputeCapability.__members__
    return tuple(sorted(int(name[2:]) for name in names if name[2:].isdigit()))


@functools.cache
def _log() -> Any:
    """TensorRT-RTX keeps one logger a process; this one prints nothing and remembers errors."""
    base: Any = package().ILogger

    class Log(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (base.ERROR, base.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()


def _errors() -> str:
    """The errors logged since the last call."""
    errors, _log().errors = _log().errors, []
    return "; ".join(dict.fromkeys(errors)) or "no reason given"


def build(
    onnx: bytes, sm: int, names: tuple[str, str], shapes: tuple[Shape, Shape, Shape]
) -> bytes:
    """An engine for one architecture. names: of the input and of the answer. shapes: the input's
    smallest, usual and largest.

    Precision is the network's own. Raises Refused with TensorRT-RTX's reason.
    """
    input_name, output_name = names
    trt = package()
    with _ONE_BUILD:
        _log().errors = []
        builder = trt.Builder(_log())
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, _log())
        if not parser.parse(onnx):
            raise Refused("; ".join(str(parser.get_error(i)) for i in range(parser.num_errors)))
        for answer in [network.get_output(i) for i in range(network.num_outputs)]:
            if answer.name != output_name:  # each that is left would want a buffer of ours
                network.unmark_output(answer)
        config = builder.create_builder_config()
        # What stays in FP32 is FP32; and the engine tells what a batch needs, not the largest.
        config.clear_flag(trt.BuilderFlag.TF32)
        config.set_preview_feature(trt.PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10, True)
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{sm}"), 0)
        profile = builder.create_optimization_profile()
        profile.set_shape(input_name, *shapes)
        config.add_optimization_profile(profile)
        engine = builder.build_serialized_network(network, config)
        if engine is None:
            raise Refused(_errors())
        return bytes(engine)


class Engine:
    """A built engine on this machine's GPU. Refused when it can't run here."""

    def __init__(self, data: bytes, runtime_cache: bytes = b"") -> None:
        """runtime_cache: what `runtime_cache()` gave before, so that kernels need no compiling."""
        trt = package()
        self._runtime = trt.Runtime(_log())
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise Refused(_errors())
        config = self._engine.create_runtime_config()
        # By itself it would take at once what intermediate results need at the largest shape.
        ours = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        config.set_execution_context_allocation_strategy(ours)
        self._cache = config.create_runtime_cache()
        if runtime_cache:
            self._cache.deserialize(runtime_cache)
        config.set_runtime_cache(self._cache)
        self._context = self._engine.create_execution_context(config)
        if self._context is None:
            raise Refused(_errors())

    def prepare(self, input_name: str, shape: Shape, output_name: str) -> tuple[Shape, int]:
        """The shape of the answer to an input of this shape, which is the one that `run` then
        takes, and how many bytes of scratch intermediate results need."""
        if not self._context.set_input_shape(input_name, shape):
            raise Refused(_errors())
        answer = tuple(self._context.get_tensor_shape(output_name))
        if min(answer, default=1) < 0:
            raise Refused(f"the shape of '{output_name}' depends on what the network is shown")
        # 0 is also what it says when it can't tell
        scratch = self._context.update_device_memory_size_for_shapes()
        return answer, int(scratch) or int(self._engine.device_memory_size_v2)

    def dtype(self, tensor: str) -> np.dtype[Any]:
        """What the numbers of an input or answer have to be: a file in FP16 may want FP16."""
        wanted: np.dtype[Any] = np.dtype(package().nptype(self._engine.get_tensor_dtype(tensor)))
        return wanted

    def run(self, addresses: dict[str, int], scratch: tuple[int, int], stream: int) -> None:
        """Start computing from and to buffers on the GPU, by tensor name. scratch: address and
        size of what intermediate results may use until the stream is done."""
        self._context.set_device_memory(*scratch)
        for name, address in addresses.items():
            self._context.set_tensor_address(name, address)
        if not self._context.execute_async_v3(stream):
            raise Refused(_errors())

    def runtime_cache(self) -> bytes:
        """Kernels compiled so far, for the next start."""
        return bytes(self._cache.serialize())

    def close(self) -> None:
        """Free it while its device's context is still there: first what uses the others, in
        threads of its own, too."""
        del self._context, self._cache, self._engine, self._runtime
