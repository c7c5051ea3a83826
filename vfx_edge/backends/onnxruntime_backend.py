"""ONNX Runtime and its providers: cpu, cuda, tensorrt.

The runtime falls back to the CPU without an error, so after opening, what really runs is compared
with what was asked. Its own lines are kept off the terminal; its failures arrive as exceptions.
"""

import functools
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vfx_edge.backends import nvidia
from vfx_edge.backends.errors import NotOnnx, OpenFailed, OutOfMemory, RanElsewhere, RunFailed
from vfx_edge.backends.machine import cpu_name, usable_cores
from vfx_edge.backends.network import GPU_SHARE, CheckedNetwork, batch_limit, pick_precision
from vfx_edge.backends.protocol import Array, Availability, Budget
from vfx_edge.backends.quiet import quiet_stderr
from vfx_edge.manifest import NetworkSpec

FATAL = 4
_HEAVY = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
"""Nodes that must not run elsewhere; shape arithmetic on the CPU is harmless."""


@functools.cache
def _runtime() -> Any:
    """The onnxruntime module, imported without a sound."""
    with quiet_stderr():
        import onnxruntime

        onnxruntime.set_default_logger_severity(FATAL)
    return onnxruntime


@functools.cache
def _exceptions() -> tuple[type[Exception], ...]:
    """Everything the runtime raises; its classes share no base of their own."""
    state = _runtime().capi.onnxruntime_pybind11_state
    known = (getattr(state, name) for name in dir(state))
    raised = [kind for kind in known if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*raised, RuntimeError, ValueError, MemoryError)


class OrtNetwork(CheckedNetwork):
    """One session."""

    def __init__(
        self, backend: str, spec: NetworkSpec, session: Any, device: str, precision: str, limit: int
    ) -> None:
        super().__init__(backend, spec, device, precision, limit)
        self._session = session
        half = session.get_inputs()[0].type == "tensor(float16)"
        self._dtype = np.dtype(np.float16 if half else np.float32)

    def _infer(self, batch: Array) -> Array:
        feed = {self.spec.input.name: batch.astype(self._dtype, copy=False)}
        try:
            out = self._session.run([self.spec.output.name], feed)[0]
        except _exceptions() as error:
            full = "allocate memory" in str(error) or "out of memory" in str(error).lower()
            if full or isinstance(error, MemoryError):
                raise OutOfMemory from error
            raise RunFailed(self.backend, self.spec.name, str(error)) from error
        return np.asarray(out, np.float32)

    def close(self) -> None:
        self._session = None


class OrtBackend:
    """What the three providers share."""

    name = ""
    provider = ""
    gpu = False
    precisions: tuple[str, ...] = ("fp32",)

    def availability(self) -> Availability:
        raise NotImplementedError

    def _providers(self, spec: NetworkSpec, precision: str, budget: Budget) -> list[Any]:
        """Provider names with options, most wanted first."""
        raise NotImplementedError

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> OrtNetwork:
        if self.gpu and isinstance(gpu := nvidia.find_gpu(), nvidia.Gpu):
            budget = replace(budget, gpu_gib=min(budget.gpu_gib, gpu.memory_gib))
        chosen = pick_precision(self.name, spec, precision, self.precisions)
        limit = batch_limit(spec, budget, gpu=self.gpu)
        session = self._session(spec, onnx, self._providers(spec, chosen, budget), budget)
        self._compare(spec, session)
        return OrtNetwork(self.name, spec, session, self._device(), chosen, limit)

    def _session(self, spec: NetworkSpec, onnx: bytes, providers: Any, budget: Budget) -> Any:
        runtime = _runtime()
        options = runtime.SessionOptions()
        options.log_severity_level = FATAL
        options.intra_op_num_threads = budget.threads or usable_cores() or 0
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        try:
            # Without enable_fallback=0 a failing provider is replaced by the CPU, with a print.
            return runtime.InferenceSession(onnx, options, providers=providers, enable_fallback=0)
        except _exceptions() as error:
            if type(error).__name__ in ("InvalidProtobuf", "InvalidGraph"):
                raise NotOnnx(spec.path, str(error)) from error
            raise OpenFailed(self.name, spec.name, str(error)) from error

    def _compare(self, spec: NetworkSpec, session: Any) -> None:
        """RanElsewhere when the session, or any heavy node of it, isn't where it was asked."""
        used = session.get_providers()[0]
        if used != self.provider:
            raise RanElsewhere(self.name, spec.name, used)
        if not self.gpu or not hasattr(session, "get_provider_graph_assignment_info"):
            return
        for part in session.get_provider_graph_assignment_info():
            heavy = _HEAVY & {node.op_type for node in part.get_nodes()}
            if part.ep_name == "CPUExecutionProvider" and heavy:
                raise RanElsewhere(self.name, spec.name, f"the CPU ({', '.join(sorted(heavy))})")

    def _device(self) -> str:
        return str(nvidia.find_gpu()) if self.gpu else cpu_name()

    def _no(self, reason: str, remedy: str) -> Availability:
        return Availability(self.name, False, reason, remedy)


class CpuBackend(OrtBackend):
    """ONNX Runtime's own CPU kernels: everywhere, and half as fast as OpenVINO."""

    name, provider = "cpu", "CPUExecutionProvider"

    def availability(self) -> Availability:
        try:
            _runtime()
        except ImportError as error:
            return self._no(f"onnxruntime can't be imported ({error})", "pip install onnxruntime")
        return Availability(self.name, True, device=cpu_name())

    def _providers(self, spec: NetworkSpec, precision: str, budget: Budget) -> list[Any]:
        return [self.provider]


class CudaBackend(OrtBackend):
    """ONNX Runtime's CUDA provider."""

    name, provider, gpu = "cuda", "CUDAExecutionProvider", True
    precisions: tuple[str, ...] = ("tf32", "fp32")

    def availability(self) -> Availability:
        # The GPU first: where there is none, the runtime need not even be imported.
        gpu = nvidia.find_gpu()
        if isinstance(gpu, str):
            return self._no(gpu, "install an NVIDIA GPU and its driver")
        try:
            runtime = _runtime()
        except ImportError as error:
            remedy = "pip install onnxruntime-gpu"
            return self._no(f"onnxruntime can't be imported ({error})", remedy)
        if self.provider not in runtime.get_available_providers():
            remedy = "pip uninstall onnxruntime, then pip install onnxruntime-gpu"
            return self._no("the installed onnxruntime is built without it", remedy)
        if problem := self._driver_or_libraries(gpu):
            return self._no(*problem)
        return Availability(self.name, True, device=str(gpu))

    def _driver_or_libraries(self, gpu: nvidia.Gpu) -> tuple[str, str] | None:
        """What the provider needs beside the runtime: (reason, remedy) of the first lack."""
        runtime = _runtime()
        major = int(str(getattr(runtime, "cuda_version", "") or "13").split(".")[0])
        if gpu.driver_cuda[0] < major:
            have = ".".join(map(str, gpu.driver_cuda))
            return f"the driver serves CUDA {have}, CUDA {major} is needed", "update the driver"
        with quiet_stderr():
            runtime.preload_dlls()
        if missing := nvidia.first_missing(nvidia.cuda_libraries(major)):
            reason = f"{missing} was not found"
            return reason, f'pip install "onnxruntime-gpu[cuda,cudnn]", or CUDA {major} and cuDNN 9'
        return None

    def _providers(self, spec: NetworkSpec, precision: str, budget: Budget) -> list[Any]:
        options = {
            "gpu_mem_limit": str(int(budget.gpu_gib * 2**30)),
            "arena_extend_strategy": "kSameAsRequested",
            # The default search can pick 3-D convolutions 2 to 3 times too slow.
            "cudnn_conv_algo_search": "HEURISTIC",
            "use_tf32": "1" if precision == "tf32" else "0",
        }
        return [(CudaBackend.provider, options), CpuBackend.provider]


class TensorRtBackend(CudaBackend):
    """ONNX Runtime's TensorRT provider; what TensorRT can't take goes to CUDA."""

    name, provider = "tensorrt", "TensorrtExecutionProvider"
    precisions = ("fp16", "bf16", "fp32")

    def _driver_or_libraries(self, gpu: nvidia.Gpu) -> tuple[str, str] | None:
        nvidia.preload_tensorrt()
        if missing := nvidia.first_missing(nvidia.tensorrt_libraries()):
            return f"{missing} was not found", 'pip install "tensorrt-cu13>=10.13,<11"'
        return super()._driver_or_libraries(gpu)

    def _providers(self, spec: NetworkSpec, precision: str, budget: Budget) -> list[Any]:
        def shape(count: int) -> str:
            size = (count, spec.input.channels, *spec.input.patch_zyx)
            return f"{spec.input.name}:{'x'.join(map(str, size))}"

        batch = spec.batch
        cache = _engine_folder(spec, precision, str(nvidia.find_gpu()))
        options = {
            "trt_max_workspace_size": str(int(budget.gpu_gib * (1 - GPU_SHARE) * 2**30)),
            "trt_fp16_enable": str(precision == "fp16"),
            "trt_bf16_enable": str(precision == "bf16"),
            "trt_engine_cache_enable": str(cache is not None),
            "trt_timing_cache_enable": str(cache is not None),
            "trt_profile_min_shapes": shape(batch.min),
            "trt_profile_opt_shapes": shape(batch.opt),
            "trt_profile_max_shapes": shape(batch.max),
        }
        if cache is not None:
            options |= {"trt_engine_cache_path": str(cache), "trt_timing_cache_path": str(cache)}
        return [(self.provider, options), *super()._providers(spec, "fp32", budget)]


def _engine_folder(spec: NetworkSpec, precision: str, gpu: str) -> Path | None:
    """A folder of its own for whatever an engine depends on; None when none can be made.

    A stale engine is worse than a slow start, so network, GPU, runtime, TensorRT, precision and
    shapes are all in the name.
    """
    import platformdirs

    runtime = _runtime()
    key: Iterable[object] = (
        spec.sha256, gpu, runtime.__version__, _tensorrt_version(), precision,
        spec.batch, spec.input.patch_zyx, nvidia.driver_version(),
    )  # fmt: skip
    digest = hashlib.sha256(repr(tuple(key)).encode()).hexdigest()[:24]
    root = Path(platformdirs.user_cache_dir("vfx-edge", appauthor=False))
    folder = root / "tensorrt" / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder


def _tensorrt_version() -> int:
    """TensorRT's version number as its library gives it, 0 when it doesn't."""
    import ctypes

    try:
        return int(ctypes.CDLL(nvidia.tensorrt_libraries()[0]).getInferLibVersion())
    except (OSError, AttributeError):
        return 0
