"""The parts of `benchmarks gpu`, each a worker of its own with a limit to its time.

Their order is that of their worth: what stands first is measured even where time runs out.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vfx_edge.bench.parity import REFERENCE
from vfx_edge.bench.worker import Order

STUDY, OTHER = "vfx_edge.bench.worker", "benchmarks.gpu_worker"
PACKAGES = {
    "cuda": ("onnxruntime-gpu", "nvidia-cudnn-cu13"),
    "tensorrt-rtx": ("tensorrt-rtx",),
    "tensorrt": ("onnxruntime-gpu", "nvidia-cudnn-cu13", "tensorrt-cu13"),
}
"""Backend -> what it needs beside vfx-edge; the quickest to build comes first."""
ENGINES_S = {"cuda": 40.0, "tensorrt-rtx": 90.0, "tensorrt": 120.0}
OTHER_PRECISIONS = {
    "cuda": ("fp32", "tf32", "fp16"),
    "tensorrt-rtx": ("fp16", "bf16", "fp32"),
    "tensorrt": ("fp16", "bf16", "fp32"),
}
"""One of each is what the backend takes by itself: it is not measured twice."""
BUDGETS_GIB = (16.0, 8.0)


@dataclass(frozen=True)
class Part:
    """One thing to do. module: the worker. packages: of others, that it needs."""

    kind: str
    """"reference", "engines", "study", "commands", "memory" or "tests"."""
    backend: str
    what: str
    module: str
    order: dict[str, Any]
    limit_s: float
    precision: str = "auto"
    packages: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        budget = f" {self.order['gpu_gib']:g} GiB" if self.kind == "memory" else ""
        precision = "" if self.precision == "auto" else f" {self.precision}"
        return f"{self.kind} {self.backend}{precision}{budget}"


def parts(ct: Path, folder: Path) -> Iterator[Part]:
    """All of them. ct: the phantom. folder: scratch, for what parts leave to each other."""
    backend, precision = REFERENCE
    order = _study(ct, folder, backend, precision, repeat=0, reference=True)
    what = "what the chain asks its networks, and the right answers"
    yield Part("reference", backend, what, STUDY, order, 90, precision)
    for name in PACKAGES:
        yield from _of_backend(name, ct, folder)
    for name, precisions in OTHER_PRECISIONS.items():
        for precision in precisions:
            order = _study(ct, folder, name, precision, repeat=3)
            what = "parity and times in another precision, its engines built"
            limit_s = ENGINES_S[name]
            packages = PACKAGES[name]
            yield Part("study", name, what, STUDY, order, limit_s, precision, packages)


def _of_backend(name: str, ct: Path, folder: Path) -> Iterator[Part]:
    packages = PACKAGES[name]
    what = "each network opened alone, its engine built: seconds"
    order: dict[str, Any] = {"work": "engines", "backend": name}
    yield Part("engines", name, what, OTHER, order, ENGINES_S[name], packages=packages)
    what = "parity, first and warm studies, each stage's seconds"
    order = _study(ct, folder, name, "auto", repeat=7)
    yield Part("study", name, what, STUDY, order, 60, packages=packages)
    what = "the whole command, cold and again"
    order = {"work": "commands", "backend": name, "path": str(ct)}
    yield Part("commands", name, what, OTHER, order, 40, packages=packages)
    for gib in BUDGETS_GIB:
        what = f"peak GPU memory where the networks may take {gib:g} GiB"
        order = {**_study(ct, folder / "none", name, "auto", repeat=1), "gpu_gib": gib}
        yield Part("memory", name, what, STUDY, order, 30, packages=packages)
    what = "the tests that are skipped without a GPU"
    order = {"work": "tests", "k": "tensorrt and not rtx" if name == "tensorrt" else name}
    yield Part("tests", name, what, OTHER, order, 60, packages=(*packages, "pytest"))


def _study(
    ct: Path, folder: Path, backend: str, precision: str, repeat: int, reference: bool = False
) -> dict[str, Any]:
    return asdict(
        Order(
            path=str(ct),
            out=str(folder / "out"),
            model="default",
            backend=backend,
            precision=precision,
            repeat=repeat,
            duration_s=None,
            studies=0,
            patches=str(folder / "asked.npz"),
            reference=reference,
            describe=reference,
        )
    )
