"""Every backend and precision that runs here against the reference, one row each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from msgspec import structs

from export.parity_reference import Ask
from vfx_edge.backends import Backend, Budget, Network, default_backends
from vfx_edge.backends.errors import PrecisionUnavailable
from vfx_edge.backends.half import half_precision
from vfx_edge.bench.figures import Figures, figures_of
from vfx_edge.bench.recorder import Floats
from vfx_edge.errors import BackendError
from vfx_edge.manifest import NetworkSpec
from vfx_edge.vocabulary import PRECISIONS

FP16_ON_CPU = "FP16 file: the CPU computes it in fp32, weights and some activations rounded to fp16"


@dataclass(frozen=True)
class Row:
    """One network on one backend in one precision, over the crops of one source."""

    network: str
    source: str
    backend: str
    precision: str
    computed: str
    """What was computed in which precision, where the name alone does not tell; or what failed."""
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
    spec: NetworkSpec, crops: Mapping[str, Floats], reference: Ask, skipped: dict[str, str]
) -> list[Row]:
    """Source -> patches, all compared. Backends that can't run here go into `skipped`."""
    wanted = {source: reference(patches) for source, patches in crops.items()}
    rows = []
    for runner in _runners(spec, skipped):
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
    """One after another, whatever precisions the manifest allows: a row tells if it should."""
    onnx = spec.read()
    precision = structs.replace(spec.precision, allowed=PRECISIONS)
    every = structs.replace(spec, precision=precision)
    for name, backend in default_backends().items():
        if not (state := backend.availability()).available:
            skipped[name] = state.reason
            continue
        for precision in PRECISIONS:
            if network := _opened(backend, every, onnx, precision, skipped):
                yield Runner(name, precision, "", network)
        if name == "cpu":
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
