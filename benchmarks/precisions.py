"""Whether two precisions say the same of whole CTs: names, suspicions, outlines, heights."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks import inputs, options
from benchmarks.results import Kept
from vfx_edge.backends import OpenModels, open_models
from vfx_edge.bench.parity import facts_of, first_difference
from vfx_edge.bench.precisions import refusal
from vfx_edge.cli.parse import PRECISIONS
from vfx_edge.evaluation.overlap import label_dice
from vfx_edge.inputs import load_scan
from vfx_edge.manifest import load_model_set
from vfx_edge.outputs.labels import label_map
from vfx_edge.spine.chain import analyze
from vfx_edge.study import Analysis, BackendRequest, Level

BACKEND = "openvino"
Heights = dict[Level, tuple[float, ...]]
Making = AbstractContextManager[inputs.Scan]


def command(
    cts: options.Cts = None,
    exact: Annotated[str, typer.Option(metavar="NAME", help="Whose answers count.")] = "fp32",
    quick: Annotated[str, typer.Option(metavar="NAME", help="What is held to them.")] = "auto",
    model: Annotated[str, typer.Option(metavar="NAME_OR_DIR", help="The model set.")] = "default",
    isa: options.Isa = None,
) -> None:
    """The whole chain on CTs in two precisions by OpenVINO: same names, same suspicions, Dice of
    the outlines, differences of the heights. Without CTs, on a phantom. "auto": for each network
    the fastest that the manifest allows here."""
    manifest = load_model_set(model)
    for precision in (exact, quick):
        if precision not in PRECISIONS:
            raise typer.BadParameter(f"{precision} is none of {', '.join(PRECISIONS)}")
        if precision != "auto" and (error := refusal(BACKEND, manifest, precision)) is not None:
            raise error
    scans = list(_scans(cts))
    names = [name for name, _ in scans]
    kept = Kept(
        "precisions", {"exact": exact, "quick": quick, "model": manifest.name, "cts": names}
    )
    with (
        open_models(manifest, BackendRequest(BACKEND, exact)) as wanted,
        open_models(manifest, BackendRequest(BACKEND, quick)) as found,
    ):
        rows = [
            {"name": name, **kept.point(name, _compared, making, wanted, found)}
            for name, making in scans
        ]
    kept.finish({"rows": rows})


def _scans(cts: options.Cts) -> Iterator[tuple[str, Making]]:
    for path in cts or ():
        yield inputs.name_of(path), inputs.scan(path, 0, 0)
    if not cts:
        yield inputs.PHANTOM.format(300, 256), inputs.scan(None, 300, 256)


def _compared(making: Making, wanted: OpenModels, found: OpenModels) -> dict[str, Any]:
    with making as made:
        scan = load_scan(made.path)
        one, other = (analyze(scan, models) for models in (wanted, found))
    return {"vertebrae": len(one.findings), **compared(one, other)}


def compared(wanted: Analysis, found: Analysis) -> dict[str, Any]:
    """Two answers to one scan. difference: the first one that decides something, "" for none.

    dice: of each vertebra that both name, on the scan's grid. height_gaps_mm: how far each of
    their three heights, where both read it, lie apart.
    """
    levels = [f.vertebra.level for f in wanted.findings]
    named = [f.vertebra.level for f in found.findings]
    shared = [level for level in levels if level in named]
    labels, others = (label_map(each.scan.image, each.masks) for each in (wanted, found))
    one, other = _heights(wanted), _heights(found)
    gaps = [np.abs(np.subtract(one[k], other[k])) for k in shared if k in one and k in other]
    facts = [facts_of(each.result) for each in (wanted, found)]
    suspicions = [{f.vertebra.level: f.suspected_fracture for f in each.findings}
                  for each in (wanted, found)]  # fmt: skip
    return {
        "precision": [each.run.backend.precision for each in (wanted, found)],
        "same_names": levels == named,
        "same_suspicions": suspicions[0] == suspicions[1],
        "difference": first_difference(facts[1], facts[0]),
        "dice": label_dice(labels, others, [(level.verse, level.verse) for level in shared]),
        "height_gaps_mm": [float(gap) for each in gaps for gap in each],
    }


def _heights(analysis: Analysis) -> Heights:
    return {
        f.vertebra.level: (h.anterior_mm, h.middle_mm, h.posterior_mm)
        for f in analysis.findings
        if (h := f.measurement.heights) is not None
    }
