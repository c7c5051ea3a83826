"""ONNX Runtime: sessions as networks, and its own CPU kernels. The GPU providers lie next door.

The runtime falls back to the CPU without an error, so after opening, what really runs is compared
with what was asked. Its own lines are kept off the terminal; its failures arrive as exceptions.
"""

import functools
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfx_edge.backends.budget import batch_limit
from vfx_edge.backends.errors import OpenFailed, OutOfMemory, RunFailed, not_onnx
from vfx_edge.backends.half import half_of
from vfx_edge.backends.machine import cpu_name, usable_cores
from vfx_edge.backends.network import CheckedNetwork, pick_precision
from vfx_edge.backends.protocol import Array, Availability, Budget
from vfx_edge.manifest import NetworkSpec
from vfx_edge.quiet import runtime_quiet

FATAL = 4
_HEAVY = {"Conv", "ConvInteger", "ConvTranspose", "Gemm", "MatMul", "MatMulInteger"}
"""Nodes that must not run elsewhere; shape arithmetic on the CPU is harmless."""


@functools.cache
def runtime() -> Any:
    """The onnxruntime module, imported silently, its usage reports turned off."""
    # Official builds report usage to Microsoft, with an identifier kept in the user's cache. On
    # Linux and macOS only this, set before the import, keeps all of it off; Windows takes the call.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    with runtime_quiet():
        import onnxruntime

        onnxruntime.disable_telemetry_events()
        onnxruntime.set_default_logger_severity(FATAL)
    return onnxruntime


@functools.cache
def exceptions() -> tuple[type[Exception], ...]:
    """Everything the runtime raises; its classes share no base of their own."""
    state = runtime().capi.onnxruntime_pybind11_state
    known = (getattr(state, name) for name in dir(state))
    raised = [kind for kind in known if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*raised, RuntimeError, ValueError, MemoryError)


_FULL = (
    "allocate memory", "smaller than requested bytes", "out of memory", "alloc_failed",
    "allocation_failed",
)  # fmt: skip
"""How arena, its limit, CUDA and cuDNN word that memory ran out."""


class OrtNetwork(CheckedNetwork):
    """One session."""

    def __init__(
        self,
        backend: str,
        spec: NetworkSpec,
        session: Any,
        device: str,
        precision: str,
        limit: int,
        card: int | None = None,
    ) -> None:
        """card: the number of the one that the session computes on; None: it is the CPU."""
        super().__init__(backend, spec, device, precision, limit)
        self._session = session
        self._place = ("cpu", 0) if card is None else ("cuda", card)
        half = session.get_inputs()[0].type == "tensor(float16)"
        self._dtype = np.dtype(np.float16 if half else np.float32)

    def _infer(self, batch: Array) -> Array:
        given = batch.astype(self._dtype, copy=False)
        try:
            out = self._session_run(given) if self._place[0] == "cpu" else self._bound_run(given)
        except exceptions() as error:
            full = any(words in str(error).lower() for words in _FULL)
            if full or isinstance(error, MemoryError):
                raise OutOfMemory from error
            raise RunFailed(self.backend, self.spec.name, str(error)) from error
        return np.asarray(out, np.float32)

    def _session_run(self, batch: NDArray[Any]) -> NDArray[Any]:
        answers: list[NDArray[Any]] = self._session.run(
            [self.spec.output.name], {self.spec.input.name: batch}
        )
        return answers[0]

    def _bound_run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Input and answer in the GPU's own memory: one copy there, one back."""
        binding = self._session.io_binding()
        there = runtime().OrtValue.ortvalue_from_numpy(batch, *self._place)
        binding.bind_ortvalue_input(self.spec.input.name, there)
        binding.bind_output(self.spec.output.name, *self._place)
        self._session.run_with_iobinding(binding)
        answers: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return answers[0]

    def fix_batch(self) -> None:
        """The session takes batches of `batch_limit` only: fewer patches are filled up."""
        self._least = self.batch_limit

    def close(self) -> None:
        self._session = None


class OrtBackend:
    """What the three providers share."""

    name = ""
    provider = ""
    gpu = False

    def availability(self, device: int = 0) -> Availability:
        raise NotImplementedError

    def _precisions(self, budget: Budget) -> tuple[str, ...]:
        """What it computes in here, most wanted first."""
        return ("fp32",)

    def _limit(self, spec: NetworkSpec, budget: Budget) -> int:
        """Patches computed at once."""
        return batch_limit(spec, budget, gpu=self.gpu)

    def _form(self, spec: NetworkSpec, onnx: bytes, precision: str, limit: int) -> bytes:
        """The file that computes in this precision."""
        return half_of(spec, onnx) if precision == "fp16" else onnx

    def _providers(
        self, spec: NetworkSpec, form: bytes, precision: str, limit: int, budget: Budget
    ) -> list[Any]:
        """Provider names with options, most wanted first."""
        return [self.provider]

    def open(self, spec: NetworkSpec, onnx: bytes, precision: str, budget: Budget) -> OrtNetwork:
        chosen = pick_precision(self.name, spec, precision, self._precisions(budget))
        limit = self._limit(spec, budget)
        form = self._form(spec, onnx, chosen, limit)
        providers = self._providers(spec, form, chosen, limit, budget)
        session = self._session(spec, form, providers, budget)
        self._compare(spec, session)
        card = budget.device if self.gpu else None
        return OrtNetwork(self.name, spec, session, self._device(budget), chosen, limit, card)

    def _session(self, spec: NetworkSpec, onnx: bytes, providers: Any, budget: Budget) -> Any:
        options = runtime().SessionOptions()
        options.log_severity_level = FATAL
        options.intra_op_num_threads = budget.threads or usable_cores() or 0
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
        try:
            # Without enable_fallback=0 a failing provider is replaced by the CPU, with a print.
            return runtime().InferenceSession(onnx, options, providers=providers, enable_fallback=0)
        except exceptions() as error:
            if type(error).__name__ in ("InvalidProtobuf", "InvalidGraph"):
                raise not_onnx(spec.path, error) from error
            raise OpenFailed(self.name, spec.name, str(error)) from error

    def _compare(self, spec: NetworkSpec, session: Any) -> None:
        """OpenFailed when the session, or any heavy node of it, isn't where it was asked."""
        used = session.get_providers()[0]
        if used != self.provider:
            raise OpenFailed(self.name, spec.name, f"it would run on {used}")
        if not self.gpu or not hasattr(session, "get_provider_graph_assignment_info"):
            return
        for part in session.get_provider_graph_assignment_info():
            heavy = _HEAVY & {node.op_type for node in part.get_nodes()}
            if part.ep_name == "CPUExecutionProvider" and heavy:
                what = f"{', '.join(sorted(heavy))} would run on the CPU"
                raise OpenFailed(self.name, spec.name, what)

    def _device(self, budget: Budget) -> str:
        return cpu_name()

    def _no(self, reason: str, remedy: str) -> Availability:
        return Availability(self.name, False, reason, remedy)


class CpuBackend(OrtBackend):
    """ONNX Runtime's own CPU kernels: everywhere, and half as fast as OpenVINO."""

    name, provider = "cpu", "CPUExecutionProvider"

    def availability(self, device: int = 0) -> Availability:
        try:
            runtime()
        except ImportError as error:
            return self._no(f"onnxruntime can't be imported ({error})", "pip install onnxruntime")
        return Availability(self.name, True, device=cpu_name())
