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
ENGINES_S = {"cuda": 40.0, "tensorrt-rtx": 90.0, "tensorrt": 180.0}
"""Backend -> seconds at most to open its networks; the quickest to build comes first."""
OTHER_PRECISIONS = {"cuda": ("tf32", "fp16"), "tensorrt": ("bf16", "tf32")}
"""Beside what the backend takes by itself."""
EVERY = "every"
"""Name of a set in the scratch folder: the shipped networks, allowed in every precision."""
BUDGETS_GIB = (16.0, 8.0)


@dataclass(frozen=True)
class Part:
    """One thing to do. module: the worker."""

    kind: str
    """"doctor", "reference", "engines", "study", "tests", "commands" or "memory"."""
    backend: str
    what: str
    module: str
    order: dict[str, Any]
    limit_s: float
    precision: str = "auto"

    @property
    def name(self) -> str:
        budget = f" {self.order['gpu_gib']:g} GiB" if self.kind == "memory" else ""
        precision = "" if self.precision == "auto" else f" {self.precision}"
        return f"{self.kind} {self.backend}{precision}{budget}".strip()


def parts(ct: Path, folder: Path) -> Iterator[Part]:
    """All of them. ct: the phantom. folder: scratch, for what parts leave to each other."""
    yield Part("doctor", "", "what doctor says of this machine", OTHER, {"work": "doctor"}, 30)
    backend, precision = REFERENCE
    order = _study(ct, folder, backend, precision, repeat=0, reference=True)
    what = "what the chain asks its networks, and the right answers"
    yield Part("reference", backend, what, STUDY, order, 150, precision)
    for kinds in (_parity_and_times, _tests, _commands_and_memory, _other_precisions):
        for name in ENGINES_S:
            yield from kinds(name, ct, folder)


def _parity_and_times(name: str, ct: Path, folder: Path) -> Iterator[Part]:
    what = "each network opened alone, its engine built: seconds"
    order: dict[str, Any] = {"work": "engines", "backend": name}
    yield Part("engines", name, what, OTHER, order, ENGINES_S[name])
    what = "parity, first and warm studies, each stage's seconds"
    order = _study(ct, folder, name, "auto", repeat=7)
    yield Part("study", name, what, STUDY, order, 60)


def _tests(name: str, ct: Path, folder: Path) -> Iterator[Part]:
    what = "the tests that are skipped without a GPU"
    order: dict[str, Any] = {
        "work": "tests",
        "k": "tensorrt and not rtx" if name == "tensorrt" else name,
    }
    yield Part("tests", name, what, OTHER, order, 60)


def _commands_and_memory(name: str, ct: Path, folder: Path) -> Iterator[Part]:
    what = "the whole command, cold and again"
    order: dict[str, Any] = {"work": "commands", "backend": name, "path": str(ct)}
    yield Part("commands", name, what, OTHER, order, 40)
    for gib in BUDGETS_GIB:
        what = f"peak GPU memory where the networks may take {gib:g} GiB"
        order = {**_study(ct, folder / "none", name, "auto", repeat=1), "gpu_gib": gib}
        yield Part("memory", name, what, STUDY, order, ENGINES_S[name])


def _other_precisions(name: str, ct: Path, folder: Path) -> Iterator[Part]:
    for precision in OTHER_PRECISIONS.get(name, ()):
        order = _study(ct, folder, name, precision, repeat=3, model=str(folder / EVERY))
        what = "parity and times in another precision, its engines built"
        yield Part("study", name, what, STUDY, order, ENGINES_S[name], precision)


def _study(
    ct: Path, folder: Path, backend: str, precision: str, repeat: int, reference: bool = False,
    model: str = "default",
) -> dict[str, Any]:  # fmt: skip
    return asdict(
        Order(
            path=str(ct),
            out=str(folder / "out"),
            model=model,
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
