"""ONNX Runtime on an NVIDIA GPU: its CUDA provider, and its TensorRT provider.

Options: onnxruntime.ai/docs/execution-providers, CUDA and TensorRT.
"""

import ctypes
import logging
import os
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from vfx_edge.backends import needs, nvidia
from vfx_edge.backends.budget import scratch_mib, settled
from vfx_edge.backends.cache import cache_root
from vfx_edge.backends.errors import OpenFailed
from vfx_edge.backends.fixed_batch import ShapesOpen, with_batch
from vfx_edge.backends.half import kept_full
from vfx_edge.backends.onnxruntime_backend import CpuBackend, OrtBackend, OrtNetwork, runtime
from vfx_edge.backends.protocol import Availability, Budget
from vfx_edge.errors import first_line
from vfx_edge.manifest import NetworkSpec
from vfx_edge.quiet import runtime_quiet

log = logging.getLogger("vfx_edge.backends")
AMPERE = (8, 0)
"""From this compute capability on there are TF32 and BF16."""

_WITHOUT = "the installed onnxruntime is built without it"
_REPLACE = 'pip uninstall onnxruntime onnxruntime-gpu, then pip install "vfx-edge[{}]"'
"""Both packages have the same files: whichever came last would be left broken."""
_UNREADABLE = "could not deserialize engine"
"""The TensorRT provider's words for a stored engine that is not whole."""


def cuda_major() -> int:
    """The CUDA that the installed runtime was made for."""
    version = str(getattr(runtime(), "cuda_version", "") or needs.NEWEST_CUDA)
    return int(version.split(".")[0])


class CudaBackend(OrtBackend):
    """ONNX Runtime's CUDA provider. FP16 only where it is asked for by name."""

    name, provider, gpu = "cuda", "CUDAExecutionProvider", True

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

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> OrtNetwork:
        if isinstance(gpu := nvidia.find_gpu(budget.device), nvidia.NoGpu):
            raise OpenFailed(self.name, spec.name, gpu.reason)
        share = settled(budget) if budget.gpu_gib is None else budget
        network = super().open(spec, onnx, precision, share)
        network.warn(share.note)
        return network

    def _device(self, budget: Budget) -> str:
        return str(nvidia.find_gpu(budget.device))

    def _precisions(self, budget: Budget) -> tuple[str, ...]:
        return ("tf32", "fp32", "fp16") if _has_tf32(budget) else ("fp32", "fp16")

    def _providers(
        self, spec: NetworkSpec, form: bytes, precision: str, limit: int, budget: Budget
    ) -> list[Any]:
        return [(CudaBackend.provider, self._cuda(precision, budget)), CpuBackend.provider]

    def _cuda(self, precision: str, budget: Budget) -> dict[str, str]:
        return {
            "device_id": str(budget.device),
            # Of the session's own arena: weights, what flows between nodes, and the scratch of
            # convolutions. The context and what CUDA's libraries keep come on top.
            "gpu_mem_limit": str(int((budget.gpu_gib or 0.0) * 2**30)),
            "arena_extend_strategy": "kSameAsRequested",
            # The default search can pick 3-D convolutions 2 to 3 times too slow.
            "cudnn_conv_algo_search": "HEURISTIC",
            "use_tf32": "1" if precision == "tf32" else "0",
        }


class TensorRtBackend(CudaBackend):
    """ONNX Runtime's TensorRT provider; what TensorRT can't or must not take goes to CUDA.

    The provider makes weakly typed networks: TensorRT may compute in FP16 what the FP16 form keeps
    in FP32, and casts don't stop it. So such nodes are kept from it. Normalisations of one node
    TensorRT computes in FP32 by itself. Nor has the provider an option against TF32, so where a
    card has it there is no "fp32" here.
    """

    name, provider = "tensorrt", "TensorrtExecutionProvider"

    def _missing(self) -> tuple[str, ...]:
        nvidia.preload_tensorrt()
        return (*nvidia.missing(nvidia.tensorrt_libraries()), *super()._missing())

    def _session(self, spec: NetworkSpec, onnx: bytes, providers: Any, budget: Budget) -> Any:
        """With a fixed batch the engine is built while the session is made: minutes."""
        folder = providers[0][1].get("trt_engine_cache_path")
        kept = [] if folder is None else list(Path(folder).glob("*.engine"))
        if kept:
            try:
                return super()._session(spec, onnx, providers, budget)
            except OpenFailed as error:
                if _UNREADABLE not in str(error.__cause__ or error):
                    raise
            # The provider writes them in place: one whose writer was ended would fail for ever.
            for engine in kept:
                engine.unlink(missing_ok=True)
        log.info("Building the TensorRT engine of '%s', once; this takes minutes", spec.name)
        return super()._session(spec, onnx, providers, budget)

    def _precisions(self, budget: Budget) -> tuple[str, ...]:
        bf16 = ("bf16",) if _since_ampere(budget) else ()
        return ("fp16", *bf16, "tf32" if _has_tf32(budget) else "fp32")

    def _limit(self, spec: NetworkSpec, budget: Budget) -> int:
        """The batch that an engine is built for: the usual one, for in larger ones a patch takes as
        long, halved until it fits. Every other size would be another build of minutes."""
        fitting, batch = super()._limit(spec, budget), spec.batch.opt
        while batch > fitting:
            batch //= 2
        return max(batch, spec.batch.min)

    def _form(self, spec: NetworkSpec, onnx: bytes, precision: str, limit: int) -> bytes:
        try:
            return with_batch(super()._form(spec, onnx, precision, limit), limit)
        except ShapesOpen as error:
            raise OpenFailed(self.name, spec.name, str(error)) from error

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> OrtNetwork:
        network = super().open(spec, onnx, precision, budget)
        network.fix_batch()
        return network

    def _providers(
        self, spec: NetworkSpec, form: bytes, precision: str, limit: int, budget: Budget
    ) -> list[Any]:
        stored = spec.precision.stored
        half = "fp16" in (precision, stored)
        options = {
            # Of one layer's scratch, by the batch and not by what is free today, which would be
            # another engine. What flows between layers and the weights come on top: the batch
            # bounds those, and nothing else does.
            "trt_max_workspace_size": str(int(scratch_mib(spec, limit) * 2**20)),
            # TensorRT 10 takes the precision from here. The FP16 file says where FP16 may be
            # used, but without this its FP16 parts would compute in FP32.
            "trt_fp16_enable": str(half),
            "trt_bf16_enable": str(precision == "bf16"),
            "trt_int8_enable": str(stored == "int8"),
            # A cut or two nodes by themselves, between those on CUDA, are no engine's worth.
            "trt_min_subgraph_size": "4",
            # Networks are opened side by side: two builds at once would time each other.
            "trt_force_sequential_engine_build": "True",
        }
        if half and (kept := kept_full(form)):
            options["trt_op_types_to_exclude"] = ",".join(kept)
        machine = (str(nvidia.find_gpu(budget.device)), nvidia.driver_version())
        options |= _caches((spec.sha256, sha256(form).hexdigest(), precision, options), machine)
        options["device_id"] = str(budget.device)
        cuda = self._cuda("fp32" if precision == "fp16" else precision, budget)
        return [(self.provider, options), (CudaBackend.provider, cuda), CpuBackend.provider]


def _since_ampere(budget: Budget) -> bool:
    gpu = nvidia.find_gpu(budget.device)
    return isinstance(gpu, nvidia.Gpu) and gpu.capability >= AMPERE


def _has_tf32(budget: Budget) -> bool:
    """NVIDIA's variable takes TF32 from all its libraries, in the whole process."""
    return _since_ampere(budget) and os.environ.get("NVIDIA_TF32_OVERRIDE") != "0"


def _caches(network: Iterable[object], machine: Iterable[object]) -> dict[str, str]:
    """Engines each in a folder of its own, timings (4 to 11 times shorter builds) in a shared one.

    A stale engine is worse than a slow start, so the file, all options, GPU, driver, runtime and
    TensorRT are in its folder's name. No cache where no folder can be made.
    """
    made_by = (*machine, runtime().__version__, _tensorrt_version())
    try:
        engines, timings = _folder((*network, *made_by)), _folder(("timings", *made_by))
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
    digest = sha256(repr(tuple(key)).encode()).hexdigest()[:24]
    folder = cache_root() / "tensorrt" / digest
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _tensorrt_version() -> int:
    """TensorRT's version number as its library gives it, 0 when it doesn't."""
    try:
        return int(ctypes.CDLL(nvidia.tensorrt_libraries()[0]).getInferLibVersion())
    except (OSError, AttributeError):
        return 0
