"""How far the networks' answers on every backend and precision are from a reference's."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from vfx_edge.backends import Backend, Budget, Network, default_backends
from vfx_edge.backends.errors import PrecisionUnavailable
from vfx_edge.backends.half import half_precision
from vfx_edge.errors import BackendError
from vfx_edge.evaluation.overlap import dice
from vfx_edge.manifest import NetworkSpec
from vfx_edge.spine.classify import combined_views, decide
from vfx_edge.study import tier_of
from vfx_edge.vocabulary import PRECISIONS, Stored

Floats = NDArray[np.float32]
Ask = Callable[[Floats], Floats]
"""Patches (n, channels, ...) -> probabilities (n, classes, ...)."""
FP16_ON_CPU = "FP16 file: the CPU computes it in fp32, weights and some activations rounded to fp16"
STORED: dict[Stored, str] = {
    "fp32": "",
    "fp16": "FP16 file, whatever is asked for",
    "int8": "INT8 file; the precision is that of what is not quantised",
}


@dataclass(frozen=True)
class Figures:
    """Probabilities against the reference's, over some crops."""

    crops: int
    max_difference: float
    mean_difference: float
    """Mean of the absolute differences."""
    shift: float
    """Of the class that moved most: the mean difference, with its sign."""
    min_dice: float | None
    """Of the worst class's masks (p > 0.5); None where the network answers once for the crop."""
    tier_changes: int | None
    """Crops whose tier is another; None where the network is no classifier."""

    def within(self, spec: NetworkSpec) -> bool:
        """Whether the manifest's tolerance holds."""
        near = self.max_difference <= spec.precision.max_probability_difference
        return near and (self.min_dice is None or self.min_dice >= spec.precision.min_dice)


def figures_of(got: Floats, wanted: Floats, spec: NetworkSpec) -> Figures:
    """got, wanted: probabilities (n, classes, ...)."""
    gap = got - wanted
    by_class = gap.mean((0, *range(2, gap.ndim)), dtype=np.float64)
    return Figures(
        crops=len(got),
        max_difference=float(np.abs(gap).max()),
        mean_difference=float(np.abs(gap).mean(dtype=np.float64)),
        shift=float(by_class[np.abs(by_class).argmax()]),
        min_dice=worst_dice(got, wanted) if got.ndim == 5 else None,
        tier_changes=_tier_changes(got, wanted, spec) if "classifier" in spec.roles else None,
    )


def worst_dice(got: Floats, wanted: Floats) -> float:
    """The lowest Dice of a class's masks, over all crops (n, classes, z, y, x) together."""
    pairs = zip(got.swapaxes(0, 1), wanted.swapaxes(0, 1), strict=True)
    return min(dice(a > 0.5, b > 0.5) for a, b in pairs)


def _tier_changes(got: Floats, wanted: Floats, spec: NetworkSpec) -> int:
    pairs = zip(_tiers(got, spec), _tiers(wanted, spec), strict=True)
    return sum(a != b for a, b in pairs)


def _tiers(answers: Floats, spec: NetworkSpec) -> list[str]:
    """The tier that `vfx-edge run` would give each crop, taken as a suspected fracture."""
    each = zip(*combined_views(answers[None], spec.classes, spec.calibration), strict=True)
    tiers = [decide(answer, True, spec) for answer in each]
    return [tier_of(one) or one.kind for one in tiers]


@dataclass(frozen=True)
class Row:
    """One network on one backend in one precision, over the crops of one source."""

    network: str
    source: str
    backend: str
    precision: str
    computed: str
    """What was computed in which precision, where the name alone is not clear; or what failed."""
    allowed: bool
    """Whether the manifest lets `vfx-edge run` use this precision."""
    passed: bool
    figures: Figures | None
    """None where there was no answer."""


@dataclass(frozen=True, eq=False)
class Runner:
    """An opened network and what its numbers are."""

    backend: str
    precision: str
    computed: str
    network: Network


def rows_of(
    spec: NetworkSpec,
    crops: Mapping[str, Floats],
    reference: Ask,
    skipped: dict[str, str],
    on_step: Callable[[str], None] = lambda _: None,
) -> list[Row]:
    """Source -> patches, all compared. Backends that can't run here go into `skipped`. on_step: is
    told who is asked next."""
    on_step("the reference")
    wanted = {source: reference(patches) for source, patches in crops.items()}
    rows = []
    for runner in _runners(spec, skipped):
        on_step(f"{runner.backend} in {runner.precision}")
        for source, patches in crops.items():
            try:
                got = runner.network.probabilities(patches)
            except BackendError as error:  # such as half precision that overflowed
                rows.append(_row(spec, source, replace(runner, computed=str(error)), None))
                continue
            rows.append(_row(spec, source, runner, figures_of(got, wanted[source], spec)))
        runner.network.close()
    return rows


def _row(spec: NetworkSpec, source: str, runner: Runner, figures: Figures | None) -> Row:
    return Row(
        network=spec.name,
        source=source,
        backend=runner.backend,
        precision=runner.precision,
        computed=runner.computed,
        allowed=runner.precision in spec.precision.allowed,
        passed=figures is not None and figures.within(spec),
        figures=figures,
    )


def _runners(spec: NetworkSpec, skipped: dict[str, str]) -> Iterator[Runner]:
    """One after another, also in precisions that the manifest does not allow: rows have that."""
    onnx = spec.read()
    stored = spec.precision.stored
    possible = tuple(
        name for name in PRECISIONS if stored != "int8" or name not in ("fp16", "int8")
    )
    if spec.quantised is None:
        possible = tuple(name for name in possible if name != "int8")
    any_precision = structs.replace(spec.precision, allowed=possible)
    every = structs.replace(spec, precision=any_precision)
    for name, backend in default_backends().items():
        if not (state := backend.availability()).available:
            skipped[name] = state.reason
            continue
        for precision in possible:
            if network := _opened(backend, every, onnx, precision, skipped):
                yield Runner(name, precision, STORED[stored], network)
        if name == "cpu" and stored == "fp32":
            half = spec.read_half() or half_precision(onnx)
            if network := _opened(backend, every, half, "fp32", skipped):
                yield Runner(name, "fp16", FP16_ON_CPU, network)


def _opened(
    backend: Backend, spec: NetworkSpec, onnx: bytes, precision: str, skipped: dict[str, str]
) -> Network | None:
    try:
        return backend.open(spec, onnx, precision, Budget())
    except PrecisionUnavailable:
        return None  # this hardware or runtime has no such numbers
    except BackendError as error:
        skipped[f"{backend.name} {precision}"] = str(error)
        return None
