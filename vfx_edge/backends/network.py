"""What every opened network does the same way: check, split into batches, make probabilities."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import numpy as np

from vfx_edge.backends.errors import (
    OutOfMemory,
    PrecisionUnavailable,
    RunFailed,
)
from vfx_edge.backends.onnx_file import misfit
from vfx_edge.backends.protocol import Array
from vfx_edge.manifest import NetworkSpec


def pick_precision(
    backend: str, spec: NetworkSpec, requested: str, supported: tuple[str, ...]
) -> str:
    """The first supported precision that the manifest allows, or the requested one if it is one."""
    possible = tuple(name for name in supported if name in spec.precision.allowed)
    if requested == "auto" and possible:
        return possible[0]
    if requested not in possible:
        raise PrecisionUnavailable(backend, spec.name, requested, possible)
    return requested


def activate(raw: Array, activation: str) -> Array:
    """Network output (n, classes, ...) -> probabilities, by the manifest's activation."""
    if activation == "softmax":
        powers: Array = raw - raw.max(axis=1, keepdims=True)
        np.exp(powers, out=powers)
        powers /= powers.sum(axis=1, keepdims=True)
        return powers
    if activation == "sigmoid":
        return np.asarray(0.5 * (np.tanh(0.5 * raw) + 1))  # does not overflow
    return raw


def class_probabilities(raw: Array, spec: NetworkSpec) -> Array:
    """Network output (n, channels, ...) -> probabilities (n, len(spec.classes), ...): by the
    manifest's activation, those that mean the same added, those that nothing reads left out."""
    every = activate(raw, spec.output.activation)
    means, classes = spec.means, spec.classes
    if means == classes:
        return every
    return np.stack([every[:, [m == name for m in means]].sum(1) for name in classes], 1)


class CheckedNetwork(ABC):
    """Base of all networks. A subclass says how one batch that fits is computed."""

    def __init__(
        self, backend: str, spec: NetworkSpec, device: str, precision: str, limit: int
    ) -> None:
        self._least = spec.batch.min
        """Patches that the network takes at least; fewer are filled up."""
        self.backend = backend
        self.spec = spec
        self.device = device
        self.precision = precision
        self.batch_limit = limit
        self._warnings: list[str] = []
        self._lock = threading.Lock()

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(self._warnings)

    @abstractmethod
    def _infer(self, batch: Array) -> Array:
        """At most `batch_limit` checked patches -> the network's output, float32.

        Raises OutOfMemory when a smaller batch may do, RunFailed for all else.
        """

    def warn(self, line: str) -> None:
        """Something that went differently from what was planned; "" is nothing."""
        if line:
            self._warnings.append(line)

    def close(self) -> None:  # noqa: B027 - most have nothing to free
        """Free what the runtime holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, batch: Array) -> Array:
        """See `Network.run`. Safe to call from several threads: one after another."""
        wanted = self.spec.shape(len(batch))
        if batch.dtype != np.float32 or batch.shape != wanted or not len(batch):
            # A stage that prepares a wrong array is a bug of ours, not a failing backend.
            raise ValueError(
                f"'{self.spec.name}' takes float32 {wanted}, got {batch.dtype} {batch.shape}"
            )
        batch = np.ascontiguousarray(batch)
        with self._lock:
            return self._split(batch)

    def _split(self, batch: Array) -> Array:
        answer: Array | None = None
        at = 0
        while at < len(batch):
            part = batch[at : at + self.batch_limit]
            try:
                filled = self._filled(part)
                out = self._checked(self._infer(filled), len(filled))[: len(part)]
            except (OutOfMemory, MemoryError) as error:
                self._halve(len(part), error)
                continue
            if len(part) == len(batch):
                return out
            if answer is None:
                answer = np.empty((len(batch), *out.shape[1:]), np.float32)
            answer[at : at + len(part)] = out
            at += len(part)
        assert answer is not None, "an empty batch was refused above"
        return answer

    def _filled(self, part: Array) -> Array:
        """Filled up with zeros to the smallest batch that the network takes."""
        lacking = self._least - len(part)
        if lacking <= 0:
            return part
        return np.concatenate([part, np.zeros((lacking, *part.shape[1:]), np.float32)])

    def _halve(self, size: int, error: Exception) -> None:
        if size // 2 < self._least:
            reason = f"out of memory with {size} patches at once, which can't be less"
            raise RunFailed(self.backend, self.spec.name, reason) from error
        self.batch_limit = size // 2
        self._warnings.append(
            f"{self.device} ran out of memory with {size} patches of '{self.spec.name}' at once; "
            f"went on with {self.batch_limit}."
        )

    def _checked(self, out: Array, count: int) -> Array:
        if out.shape != (wanted := self.spec.answer_shape(count)):
            got, want = ("x".join(map(str, shape)) for shape in (out.shape, wanted))
            raise misfit(self.spec, f"it answers {got}, by its roles and classes {want} is right")
        # Half precision overflows to infinity, and a triage must not be built on that.
        if not np.isfinite(out).all():
            raise RunFailed(self.backend, self.spec.name, "the answer holds infinities or NaN")
        return out

    def probabilities(self, batch: Array) -> Array:
        """See `Network.probabilities`."""
        return class_probabilities(self.run(batch), self.spec)
