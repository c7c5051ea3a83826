"""OpenVINO on the CPU: the fastest CPU runtime for 3-D convolutions that was measured.

Compiled for batches of one fixed size: a free batch dimension is prepared anew for each size that
turns up. Asynchronous streams gain nothing (`python -m benchmarks limits` measures it).
"""

import functools
import logging
import sys
import threading
from typing import Any

import numpy as np

from vfx_edge.backends import openvino_trial
from vfx_edge.backends.budget import batch_limit
from vfx_edge.backends.errors import (
    EightBitsRefused,
    OpenFailed,
    OutOfMemory,
    RunFailed,
    not_onnx,
)
from vfx_edge.backends.machine import cpu_name, usable_cores
from vfx_edge.backends.network import CheckedNetwork, pick_precision
from vfx_edge.backends.onnx_file import check_signature, operations
from vfx_edge.backends.protocol import Array, Availability, Budget
from vfx_edge.manifest import NetworkSpec

log = logging.getLogger("vfx_edge.backends")
PRECISIONS = {"bf16": "bf16", "fp16": "f16", "fp32": "f32"}
"""Our name -> OpenVINO's, fastest first."""
_QUANTISED = ("izeLinear", "ConvInteger", "MatMulInteger", "QLinear")
"""In a quantised network's types of nodes. OpenVINO 2026.4 ends the whole process while it compiles
some of these for 8 bits; without that step it computes what the file says, roundings and all, in
floats, as fast as the float network. Asked of the file: no manifest is trusted with a crash, and
the step is taken where another process has lived through it (`openvino_trial`)."""
_FIRST = threading.Lock()
_NAMES = {"<Type: 'bfloat16'>": "bf16", "<Type: 'float16'>": "fp16", "<Type: 'float32'>": "fp32"}


@functools.cache
def _core() -> Any:
    with _FIRST:  # two threads may ask before there is an answer to keep
        return _made()


def _made() -> Any:
    # This program sends no usage reports. Where their package is absent, OpenVINO goes without;
    # present, it would load an HTTP library, too.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    from openvino import Core, Tensor

    # The first tensor in a process sets something up for which OpenVINO takes a lock of its own,
    # and then Python's: two threads that do so at once wait for each other for ever.
    Tensor(np.zeros(1, np.float32), shared_memory=True)
    return Core()


@functools.cache
def native_precision() -> str:
    """What OpenVINO would compute in by itself: bf16 only where the CPU really has it.

    Its list of capabilities also names bf16 where it is emulated and slow; compiling one
    convolution and asking tells the two apart on every system. One that is held to older
    instructions (ONEDNN_MAX_CPU_ISA) still says bf16, and then has no such convolution.
    """
    from openvino import Model, opset13

    given = opset13.parameter([1, 1, 4, 4, 4], np.float32)
    weight = opset13.constant(np.ones((1, 1, 3, 3, 3), np.float32))
    sides = [[1] * 3] * 4  # strides, pads on either side, dilations
    try:
        model = Model([opset13.convolution(given, weight, *sides)], [given])
        compiled = _core().compile_model(model, "CPU", {})
    except RuntimeError:
        return "fp32"
    return _NAMES.get(str(compiled.get_property("INFERENCE_PRECISION_HINT")), "fp32")


def _eight_bits_gain(native: str) -> bool:
    """Whether 8 bits were measured to be faster than what this CPU computes in by itself: than FP32
    always. Than bf16 not: what an INT8 file leaves in floats is computed in FP32."""
    return native == "fp32"


def _version() -> str:
    from openvino import get_version

    return str(get_version())


class OpenVinoNetwork(CheckedNetwork):
    """One compiled network and its one request."""

    def __init__(self, spec: NetworkSpec, compiled: Any, precision: str, limit: int) -> None:
        super().__init__("openvino", spec, cpu_name(), precision, limit)
        self._request = compiled.create_infer_request()
        self._output = compiled.output(spec.output.name)

    def _infer(self, batch: Array) -> Array:
        try:
            self._request.infer({self.spec.input.name: batch}, share_inputs=True)
            # Copied: the request writes its next answer into the same memory.
            return np.array(self._request.get_tensor(self._output).data, dtype=np.float32)
        except RuntimeError as error:
            if any(word in str(error).lower() for word in ("bad_alloc", "allocate", "memory")):
                raise OutOfMemory from error
            raise RunFailed(self.backend, self.spec.name, str(error)) from error

    def close(self) -> None:
        self._request = self._output = None


class OpenVinoBackend:
    """OpenVINO's CPU device."""

    name = "openvino"

    def availability(self, device: int = 0) -> Availability:
        try:
            devices = _core().available_devices
        except (ImportError, RuntimeError, OSError) as error:
            reason = f"the openvino package can't be loaded ({error})"
            return Availability(self.name, False, reason, "pip install openvino")
        if "CPU" not in devices:
            reason = "OpenVINO has no plugin for this CPU"
            return Availability(self.name, False, reason, "use --backend cpu")
        return Availability(self.name, True, device=cpu_name())

    def open(
        self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget
    ) -> OpenVinoNetwork:
        native = native_precision()
        floats = ("fp32",) if native == "fp32" else (native, "fp32")
        asked = precision == "int8" or (spec.int8_holds and _eight_bits_gain(native))
        supported = ("int8", *floats) if asked else floats
        chosen = pick_precision(self.name, spec, precision, supported)
        limit = batch_limit(spec, budget, gpu=False)
        if chosen == "int8":
            try:
                return self._open_quantised(spec, limit, budget.threads)
            except EightBitsRefused as error:
                if precision == "int8":
                    raise
                log.info("%s", error)
                chosen = pick_precision(self.name, spec, precision, floats)
        compiled = self._compile(spec, onnx, chosen, limit, budget.threads)
        really = _NAMES.get(str(compiled.get_property("INFERENCE_PRECISION_HINT")), chosen)
        return OpenVinoNetwork(spec, compiled, really, limit)

    def _open_quantised(
        self, spec: NetworkSpec, batch: int, threads: int | None
    ) -> "OpenVinoNetwork":
        """The network's INT8 file in 8 bits. ModelError leaves, EightBitsRefused."""
        if (other := spec.quantised) is None:
            raise EightBitsRefused(spec.name, "its model set has no INT8 file")
        check_signature(other, data := other.read())
        openvino_trial.check(other, data, _version(), batch, threads)
        compiled = self._compile(other, data, "fp32", batch, threads, eight_bits=True)
        return OpenVinoNetwork(spec, compiled, "int8", batch)

    def forget(self, spec: NetworkSpec) -> None:
        """See `TriesEightBits`."""
        if (other := spec.quantised) is not None:
            openvino_trial.forget(other.read(), _version(), spec.batch.min)

    def answers(
        self, spec: NetworkSpec, onnx: bytes, batch: int, threads: int | None, patches: Array
    ) -> tuple[Array, Array]:
        """An INT8 file's answers to `patches`, in 8 bits and in floats. May end the process."""
        both = (
            self._compile(spec, onnx, "fp32", batch, threads, eight_bits=eight)
            for eight in (True, False)
        )
        first, second = (OpenVinoNetwork(spec, one, "int8", batch).run(patches) for one in both)
        return first, second

    def _compile(
        self,
        spec: NetworkSpec,
        onnx: bytes,
        precision: str,
        batch: int,
        threads: int | None,
        *,
        eight_bits: bool = False,
    ) -> Any:
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        }
        if threads := threads or usable_cores():
            config["INFERENCE_NUM_THREADS"] = str(threads)
        kinds = operations(onnx, spec.path)
        if not eight_bits and any(word in kind for kind in kinds for word in _QUANTISED):
            config["LP_TRANSFORMS_MODE"] = "NO"
        try:
            model = _core().read_model(onnx)
        except RuntimeError as error:
            if "OpConversionFailure" in str(error):  # which another runtime may know
                raise OpenFailed(self.name, spec.name, str(error)) from error
            raise not_onnx(spec.path, error) from error
        try:
            model.reshape({spec.input.name: list(spec.shape(batch))})
            return _core().compile_model(model, "CPU", config)
        except (RuntimeError, MemoryError) as error:
            raise OpenFailed(self.name, spec.name, str(error)) from error
