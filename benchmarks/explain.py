"""What `run --explain` costs a vertebra, and whether its maps are worth it: for docs/explain.md."""

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Annotated, Any, NamedTuple

import numpy as np
import onnx
import typer
from numpy.typing import NDArray
from onnx import numpy_helper
from scipy.stats import spearmanr

from benchmarks import isa, options, results
from benchmarks.results import Kept
from models.recipes.scorecard.render import replaced
from models.recipes.scorecard.table import table
from vfx_edge.backends import OpenModels, default_backends, open_models
from vfx_edge.backends.protocol import Budget, Network
from vfx_edge.image.grids import FloatArray
from vfx_edge.manifest import NetworkSpec, load_model_set
from vfx_edge.phantom import FractureSpec, LesionSpec, Phantom, PhantomSpec, make_phantom
from vfx_edge.spine import explain
from vfx_edge.spine.chain import ChainOptions, analyze
from vfx_edge.spine.classify import Answers, combined_views
from vfx_edge.spine.crops import crops_of, grid_of, looks
from vfx_edge.study import Analysis, Classified, Explained, Level, VertebraMask

NAME = "explain"
BACKEND = "openvino"
PAGE = results.ROOT / "docs" / "explain.md"
LIMIT_S = 6.0
LEVELS = ("T11", "T12", "L1", "L2", "L3")
CHANGED_HU = 60
"""What a lesion has changed by more is part of it."""
SHUFFLED = {"all weights": ".weight", "the last layer": "final_dense"}
"""Of the shipped classifier: which of its weights, by a part of their names."""
SEEN = 0.05
"""A change of p(malignant) that a page shows."""
OTHER = 0.5
"""Two maps are two where the ranks of their voxels agree by less."""


class Case(NamedTuple):
    """A phantom with one fracture, and what was found of it. lesion: (z, y, x) of its scan."""

    analysis: Analysis
    mask: VertebraMask
    lesion: NDArray[np.bool_]


def command(
    malignant: Annotated[int, typer.Option(help="Phantoms with a malignant fracture.")] = 12,
    osteoporotic: Annotated[int, typer.Option(help="With an osteoporotic one.")] = 8,
    isa: options.Isa = None,
) -> None:
    """Seconds that a map takes a vertebra; whether it is largest at the lesion, by what hidden
    places show; and whether a network with random weights gives another. Writes docs/explain.md."""
    kept = Kept(NAME, {"malignant": malignant, "osteoporotic": osteoporotic})
    manifest = load_model_set("default")
    spec = manifest.network("classifier")
    with open_models(manifest, BACKEND) as models:
        random = {
            name: default_backends()[BACKEND].open(spec, shuffled(spec, part), "fp32", Budget())
            for name, part in SHUFFLED.items()
        }
        cases = [(n, n < malignant) for n in range(malignant + osteoporotic)]
        rows = [kept.point(str(n), measured, n, bad, models, random) for n, bad in cases]
        for network in random.values():
            network.close()
    kept.finish({"rows": [row for row in rows if row is not None]})
    render()


def phantom_specs(number: int, malignant: bool) -> tuple[PhantomSpec, PhantomSpec]:
    """A fracture among five vertebrae, and the same without its lesion and without noise."""
    rng = np.random.default_rng([number, 20])
    level = str(rng.choice(LEVELS))
    kinds = ("lytic", "sclerotic", "mixed")
    lesion = LesionSpec(level, kinds[number % 3], float(rng.uniform(0.3, 0.6)))  # type: ignore[arg-type]
    whole = PhantomSpec(
        levels=("T9", "L5"),
        spacing_mm=1.5,
        seed=number,
        fractures=(FractureSpec(level, "wedge", float(rng.uniform(0.3, 0.45))),),
        lesions=(lesion,) if malignant else (),
    )
    return whole, replace(whole, lesions=())


def measured(
    number: int, malignant: bool, models: OpenModels, random: Mapping[str, Network]
) -> dict[str, Any] | None:
    """One phantom's figures; None where its fracture got no cause."""
    case = _case(number, malignant, models)
    if case is None:
        return None
    classifier = models.network("classifier")
    scan, spec = case.analysis.scan.image, classifier.spec
    begin, spent = time.perf_counter(), _cpu_s()
    made = explain.explain(scan, case.mask, case.analysis.masks, classifier)
    seconds, cpu_s = time.perf_counter() - begin, _cpu_s() - spent
    others = {
        name: explain.explain(scan, case.mask, case.analysis.masks, network)
        for name, network in random.items()
    }
    (crop,) = crops_of(scan, [case.mask], case.analysis.masks, spec)
    one_number = np.full_like(crop, np.median(crop))
    return {
        "malignant": malignant,
        "p_malignant": made.said.p_malignant,
        "seconds": seconds,
        "cpu_s": cpu_s,
        "shuffled": {
            name: {
                "rank_correlation": _agreement(made.change.values, other.change.values),
                "largest": abs(other.said.largest_change),
            }
            for name, other in others.items()
        },
        "fills": {
            "tissue": _pointed(case, made.said, spec),
            "one number": _pointed(case, _of_fill(crop, one_number, case, classifier), spec),
        },
    }


def _case(number: int, malignant: bool, models: OpenModels) -> Case | None:
    with_lesion, without = phantom_specs(number, malignant)
    made: Phantom = make_phantom(with_lesion)
    analysis = analyze(made.scan, models, ChainOptions())
    level = Level(with_lesion.fractures[0].level)
    for finding, mask in zip(analysis.findings, analysis.masks, strict=True):
        if finding.vertebra.level is level and isinstance(finding.assessment, Classified):
            quiet = [make_phantom(replace(s, noise_hu=0.0)).hu for s in (with_lesion, without)]
            change = np.abs(quiet[0].astype(np.int32) - quiet[1])
            return Case(analysis, mask, change > CHANGED_HU)
    return None


def _pointed(case: Case, said: Explained, spec: NetworkSpec) -> dict[str, Any]:
    """The largest change, and the share of the lesion that lies in its box; the mean over all
    boxes beside it: by chance."""
    grid = grid_of(case.mask, spec)
    middles = explain.middles_of(grid.shape, grid.spacing_mm)
    told: dict[str, Any] = {"largest": said.largest_change}
    if (shares := _shares(case, middles, spec)) is not None:
        at = grid.to_zyx(np.array([said.largest_at_lps_mm]))
        largest = int(np.linalg.norm(middles - at, axis=1).argmin())
        told |= {"share": float(shares[largest]), "by_chance": float(shares.mean())}
        told |= {"best": float(shares.max()), "middle": float(shares[len(shares) // 2])}
    return told


def _of_fill(crop: FloatArray, plain: FloatArray, case: Case, network: Network) -> Explained:
    """As the map says it, where hidden places show `plain`."""
    spec = network.spec
    found = explain.changes(
        crop, plain, lambda crops: _answers(crops, network), spec.input.spacing_mm, spec.batch.opt
    )
    return explain.said_of(found, grid_of(case.mask, spec), spec)


def _answers(crops: Sequence[FloatArray], network: Network) -> Answers:
    spec = network.spec
    return combined_views(looks(crops, network), spec.classes, spec.calibration)


def _shares(case: Case, middles: FloatArray, spec: NetworkSpec) -> FloatArray | None:
    """Of the lesion's voxels in the crop, which share lies in each box; None without a lesion."""
    image, grid = case.analysis.scan.image, grid_of(case.mask, spec)
    at = grid.to_zyx(image.to_lps(np.argwhere(case.lesion).astype(np.float64)))
    at = at[((at >= 0) & (at <= np.array(grid.shape) - 1)).all(1)]
    if not len(at):
        return None
    half = explain.BOX_MM / 2 / grid.spacing_mm
    return np.array([(np.abs(at - middle) <= half).all(1).mean() for middle in middles])


def shuffled(spec: NetworkSpec, part: str) -> bytes:
    """The network with the numbers of each weight whose name holds `part` in another order: its
    layers are as large as they were, and what they learnt is gone."""
    model = onnx.load_from_string(spec.read())
    rng = np.random.default_rng(0)
    for tensor in model.graph.initializer:
        if part in tensor.name and ".weight" in tensor.name and len(tensor.dims) > 1:
            values = numpy_helper.to_array(tensor)
            mixed = rng.permutation(values.ravel()).reshape(values.shape)
            tensor.CopyFrom(numpy_helper.from_array(mixed, tensor.name))
    return bytes(model.SerializeToString())


def _agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    known = np.isfinite(one)
    return float(spearmanr(one[known], other[known]).statistic)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def render() -> None:
    """Write the figures that are there into the page."""
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """`text` with the tables made anew."""
    found = {cpu: record for cpu in isa.CLASSES if (record := results.read(NAME, cpu))}
    blocks = [_costs(found), *(_worth(found[cpu]) for cpu in list(found)[-1:])]
    return replaced(text, NAME, "\n\n".join(blocks) + "\n")


def _costs(found: dict[str, Any]) -> str:
    rows = [
        (
            isa.CLASSES[cpu], f"{record['machine']['cpu']['name']}, {record['threads']} threads",
            record["measured_on"], f"{record['machine']['busy']:.0%}",
            _range(record, "seconds"), _range(record, "cpu_s"), f"{LIMIT_S:g} s",
        )
        for cpu, record in found.items()
    ]  # fmt: skip
    head = ("class", "machine", "day", "others used", "seconds a vertebra", "processor seconds",
            "wanted: at most")  # fmt: skip
    return f"Median (least to most) over the phantoms:\n\n{table(head, rows)}"


def _range(record: dict[str, Any], key: str) -> str:
    values = [row[key] for row in record["figures"]["rows"]]
    return f"{median(values):.1f} ({min(values):.1f}–{max(values):.1f})"


def _worth(record: dict[str, Any]) -> str:
    rows = record["figures"]["rows"]
    bad = [row for row in rows if row["malignant"]]
    called = [row for row in bad if row["p_malignant"] >= 0.5]
    good = [row for row in rows if not row["malignant"]]
    lines = []
    for name in ("tissue", "one number"):
        fills = [row["fills"][name] for row in called]
        seen = [fill for fill in fills if fill["largest"] >= SEEN]
        raised = sum(row["fills"][name]["largest"] <= -SEEN for row in good)
        lines.append((
            name, f"{len(seen)} of {len(called)}", *(_mean(seen, key) for key in
            ("share", "middle", "by_chance")), f"{raised} of {len(good)}",
        ))  # fmt: skip
    head = ("a hidden place shows", f"malignant: falls by {SEEN:g} or more", "of the lesion in the "
            "box", "in the middle box", "in a box at random",
            f"osteoporotic: rises by {SEEN:g} or more")  # fmt: skip
    return "\n\n".join(
        (
            f"{len(bad)} phantoms with a malignant fracture, {len(called)} of them called so, and "
            f"{len(good)} with an osteoporotic one:",
            table(head, lines),
            "The maps of the same network, its weights shuffled:",
            _others(rows),
        )
    )


def _others(rows: Sequence[dict[str, Any]]) -> str:
    lines = []
    for name in SHUFFLED:
        found = [row["shuffled"][name] for row in rows]
        alike = [abs(one["rank_correlation"]) for one in found]
        lines.append((
            name, f"{median(alike):.2f} ({min(alike):.2f}–{max(alike):.2f})",
            f"{sum(one < OTHER for one in alike)} of {len(alike)}",
            f"{max(one['largest'] for one in found):.3f}",
        ))  # fmt: skip
    head = ("shuffled", "rank correlation, its size: median (least to most)", f"below {OTHER:g}",
            "largest change of any")  # fmt: skip
    return table(head, lines)


def _mean(fills: Sequence[dict[str, Any]], key: str) -> str:
    shares = [fill[key] for fill in fills if key in fill]
    return f"{np.mean(shares):.0%}" if shares else "–"
