"""ONNX Runtime on an NVIDIA GPU: its CUDA provider, and its TensorRT provider.

Options: onnxruntime.ai/docs/execution-providers, CUDA and TensorRT.
"""

import ctypes
import hashlib
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from vfx_edge.backends import needs, nvidia
from vfx_edge.backends.cache import cache_root
from vfx_edge.backends.half import half_key
from vfx_edge.backends.network import GPU_SHARE
from vfx_edge.backends.onnxruntime_backend import CpuBackend, OrtBackend, runtime
from vfx_edge.backends.protocol import Availability, Budget
from vfx_edge.errors import first_line
from vfx_edge.manifest import NetworkSpec
from vfx_edge.quiet import runtime_quiet

log = logging.getLogger("vfx_edge.backends")

_WITHOUT = "the installed onnxruntime is built without it"
_REPLACE = 'pip uninstall onnxruntime onnxruntime-gpu, then pip install "vfx-edge[{}]"'
"""Both packages have the same files: whichever came last would be left broken."""


def cuda_major() -> int:
    """The CUDA that the installed runtime was made for."""
    version = str(getattr(runtime(), "cuda_version", "") or needs.NEWEST_CUDA)
    return int(version.split(".")[0])


class CudaBackend(OrtBackend):
    """ONNX Runtime's CUDA provider. FP16 only where it is asked for by name."""

    name, provider, gpu = "cuda", "CUDAExecutionProvider", True
    precisions: tuple[str, ...] = ("tf32", "fp32", "fp16")

    def availability(self, device: int = 0) -> Availability:
        # The GPU first: where there is none, the runtime need not even be imported.
        gpu = nvidia.find_gpu(device)
        if isinstance(gpu, nvidia.NoGpu):
            return needs.no_card(self.name, gpu)
        try:
            known = runtime().get_available_providers()
        except ImportError as error:
            wrong = f"onnxruntime can't be imported ({first_line(error)})"
            return self._judged(gpu, lambda: needs.Absent(wrong))
        if self.provider not in known:
            return self._judged(gpu, lambda: needs.Absent(_WITHOUT, _REPLACE.format(self.extra)))
        return self._judged(gpu, lambda: needs.absent_libraries(self._missing()), cuda_major())

    def _judged(
        self,
        gpu: nvidia.Gpu,
        absent: Callable[[], needs.Absent],
        cuda: int = needs.NEWEST_CUDA,
    ) -> Availability:
        return needs.judged(self.name, gpu, cuda, absent)

    @property
    def extra(self) -> str:
        """What brings all that this backend needs."""
        return needs.NEEDS[self.name].extra

    def _missing(self) -> tuple[str, ...]:
        """Libraries that the provider would not find."""
        with runtime_quiet():
            runtime().preload_dlls()
        return nvidia.missing(nvidia.cuda_libraries(cuda_major()))

    def _providers(self, spec: NetworkSpec, precision: str, budget: Budget) -> list[Any]:
        options = {
            # Of the arena, which is this session's own and holds convolution workspaces, too.
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

    def _missing(self) -> tuple[str, ...]:
        nvidia.preload_tensorrt()
        return (*nvidia.missing(nvidia.tensorrt_libraries()), *super()._missing())

    def _session(self, spec: NetworkSpec, onnx: bytes, providers: Any, budget: Budget) -> Any:
        """With explicit profiles the engine is built while the session is made: minutes."""
        folder = providers[0][1].get("trt_engine_cache_path")
        if folder is None or not any(Path(folder).glob("*.engine")):
            log.info("Building the TensorRT engine of '%s', once; this takes minutes", spec.name)
        return super()._session(spec, onnx, providers, budget)

    def _providers(self, spec: NetworkSpec, precision: str, budget: Budget) -> list[Any]:
        def shape(count: int) -> str:
            return f"{spec.input.name}:{'x'.join(map(str, spec.shape(count)))}"

        batch = spec.batch
        options = {
            "trt_max_workspace_size": str(int(budget.gpu_gib * (1 - GPU_SHARE) * 2**30)),
            # TensorRT 10 takes the precision from here. The FP16 file says where FP16 may be
            # used, but without this its FP16 parts would compute in FP32.
            "trt_fp16_enable": str(precision == "fp16"),
            "trt_bf16_enable": str(precision == "bf16"),
            "trt_layer_norm_fp32_fallback": "True",
            # Networks are opened side by side: two builds at once would time each other.
            "trt_force_sequential_engine_build": "True",
            "trt_profile_min_shapes": shape(batch.min),
            "trt_profile_opt_shapes": shape(batch.opt),
            "trt_profile_max_shapes": shape(batch.max),
            **_caches(spec, precision),
        }
        return [(self.provider, options), *super()._providers(spec, "fp32", budget)]


def _caches(spec: NetworkSpec, precision: str) -> dict[str, str]:
    """Engines each in a folder of its own, timings (4 to 11 times shorter builds) in a shared one.

    A stale engine is worse than a slow start, so network, form, GPU, driver, runtime, TensorRT,
    precision and shapes are all in its folder's name. No cache where no folder can be made.
    """
    machine = (str(nvidia.find_gpu()), nvidia.driver_version(), _tensorrt_version())
    form = half_key(spec) if precision == "fp16" else ""
    shapes = (spec.input.name, spec.input.channels, spec.input.patch_zyx, spec.batch)
    network = (spec.sha256, form, runtime().__version__, precision, shapes)
    try:
        engines, timings = _folder((*network, *machine)), _folder(("timings", *machine))
    except OSError:
        return {"trt_engine_cache_enable": "False", "trt_timing_cache_enable": "False"}
    return {
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": str(engines),
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": str(timings),
    }


def _folder(key: Iterable[object]) -> Path:
    """A folder in the user's cache for all that depends on the key; OSError."""
    digest = hashlib.sha256(repr(tuple(key)).encode()).hexdigest()[:24]
    folder = cache_root() / "tensorrt" / digest
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _tensorrt_version() -> int:
    """TensorRT's version number as its library gives it, 0 when it doesn't."""
    try:
        return int(ctypes.CDLL(nvidia.tensorrt_libraries()[0]).getInferLibVersion())
    except (OSError, AttributeError):
        return 0
