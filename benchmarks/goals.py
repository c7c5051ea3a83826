"""What was wanted, and whether the figures reach it."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from benchmarks import growth, limits
from benchmarks.floor import floor_s
from benchmarks.inputs import ABDOMEN_SLICES
from benchmarks.tables import added_s, dicom_added_s
from models.recipes.scorecard.goals import MET, MISSED, UNKNOWN, Goal
from vfx_edge.bench.samples import Samples, ratio

Figures = dict[str, Any]
"""One script's figures, or script -> its figures where it has been run, for one class of
processors."""


@dataclass(frozen=True)
class Bound:
    """What has to be held, and what was hoped for; both upper bounds, or both lower."""

    least: float
    hoped: float | None = None
    upper: bool = True

    def judge(self, value: float) -> str:
        """Met, met with what was hoped for, or missed."""
        if not self._within(value, self.least):
            return MISSED
        hoped = self.hoped is not None and self._within(value, self.hoped)
        return f"{MET}, and the goal" if hoped else MET

    def words(self, unit: str) -> str:
        sign = "≤" if self.upper else "≥"
        goal = "" if self.hoped is None else f", goal {self.hoped:g}{unit}"
        return f"{sign} {self.least:g}{unit}{goal}"

    def _within(self, value: float, bound: float) -> bool:
        return value <= bound if self.upper else value >= bound


COMMAND, COMMAND_BF16, ABDOMEN = Bound(8, 5), Bound(3.5, 2.5), Bound(4, 3)
MEMORY, DICOM, FLOOR = Bound(0.8), Bound(1), Bound(1.5, 1.2)
NNUNET, TORCH, ONNXRUNTIME = (Bound(times, upper=False) for times in (150, 4, 3))
DICE, HEIGHT_MM = Bound(0.985, upper=False), Bound(0.3)
SERVICE, PAGE = Bound(1.5), Bound(1)
FACTOR, PEAK, HELP = Bound(2.5), Bound(60, upper=False), Bound(0.3)
LONG = 600
"""Slices of the CTs that the first goals are about."""
NOT_HELD = "ONNX Runtime had AVX-512"
"""It can't be kept from it, so what it takes longer is the least that it would without."""


def goals(figures: Figures) -> list[Goal]:
    """All of them, in the order of the document."""
    return [
        *_speed(figures.get("speed")),
        *_floor(figures.get("floor")),
        *_peers(figures.get("peers")),
        *_precisions(figures.get("precisions")),
        *_growth(figures.get("growth")),
        *_limits(figures.get("limits")),
        *_service(figures.get("service")),
        *_page(figures.get("page")),
    ]


def _line(figure: str, bound: Bound, unit: str, value: float, digits: int = 1) -> Goal:
    return Goal(figure, bound.words(unit), f"{value:.{digits}f}{unit}", bound.judge(value))


def _speed(found: Figures | None) -> Iterator[Goal]:
    if found is None:
        yield Goal(f"{LONG} slices: a study's time and memory", "–", "–", UNKNOWN)
        return
    whole = COMMAND_BF16 if found["cpu_class"] == "avx512-bf16" else COMMAND
    for row in found["rows"]:
        slices, name, runs = row["input"]["shape_zyx"][0], row["name"], row["command"]
        peak = max(runs["peak_rss_mib"]) / 1024
        if slices in (LONG, ABDOMEN_SLICES):
            bound = whole if slices == LONG else ABDOMEN
            yield _line(f"{name}: whole command", bound, " s", median(runs["wall_s"]), 2)
        if slices == LONG:
            yield _line(f"{name}: peak memory of the command", MEMORY, " GiB", peak, 2)
        if slices == LONG and row.get("dicom_s"):
            yield _line(f"{name}: more for DICOM results", DICOM, " s", dicom_added_s(row), 2)
    yield _line("`vfx-edge --help`", HELP, " s", median(found["help_s"]), 2)


def _floor(found: Figures | None) -> Iterator[Goal]:
    figure = "whole command over its networks' operations at the convolution peak and reading"
    if found is None:
        yield Goal(figure, FLOOR.words(" times"), "–", UNKNOWN)
        return
    for row in found["rows"]:
        value = times(row["wall_s"], floor_s(row))
        yield _line(f"{row['name']}: {figure}", FLOOR, " times", value, 2)


def _peers(found: Figures | None) -> Iterator[Goal]:
    if found is None:
        yield Goal("times faster than the peers", "–", "–", UNKNOWN)
        return
    chains = found["chains"]
    ours = chains["openvino"]
    figure = "networks: times faster than in "
    value = times(chains["torch"]["networks_s"], ours["networks_s"])
    yield _line(f"{figure}PyTorch eager, fp32", TORCH, "", value)
    value = times(chains["onnxruntime"]["networks_s"], ours["networks_s"])
    yield _against_onnxruntime(f"{figure}ONNX Runtime's CPU provider", value, found["held"])
    if full := found["nnunets"].get("nnunet-1.5mm"):
        value = times(full["wall_s"], ours["wall_s"])
        title = "whole chain: times faster than nnU-Net's full resolution"
        yield _line(title, NNUNET, "", value)


def _against_onnxruntime(figure: str, value: float, held: str) -> Goal:
    """Where all others are held to older instructions, the ratio is a lower bound: it may prove
    the goal, but not that it is missed."""
    if not held:
        return _line(figure, ONNXRUNTIME, "", value)
    reached = ONNXRUNTIME.judge(value)
    state = UNKNOWN if reached == MISSED else reached
    return Goal(figure, ONNXRUNTIME.words(""), f"at least {value:.1f}: {NOT_HELD}", state)


def _precisions(found: Figures | None) -> Iterator[Goal]:
    if found is None:
        yield Goal("INT8 against fp32: names, suspicions, outlines, heights", "–", "–", UNKNOWN)
        return
    rows = [row for row in found["rows"] if len({*row["precision"]}) == 2]
    if not rows:  # by itself nothing computes in another precision here
        yield from _precisions(None)
        return
    exact, quick = (" and ".join(sorted({r["precision"][at] for r in rows})) for at in (0, 1))
    pair = f"{quick} against {exact}"
    for title, key in (("names", "same_names"), ("suspicions", "same_suspicions")):
        same = sum(row[key] for row in rows)
        state = MET if same == len(rows) else MISSED
        yield Goal(f"{pair}: the same {title}", "on all CTs", f"on {same} of {len(rows)}", state)
    dice = min((fmean(row["dice"]) for row in rows if row["dice"]), default=0.0)
    yield _line(f"{pair}: Dice of the outlines, mean of the worst CT", DICE, "", dice, 4)
    if gaps := [gap for row in rows for gap in row["height_gaps_mm"]]:
        yield _line(f"{pair}: heights apart, on average", HEIGHT_MM, " mm", fmean(gaps), 2)


def times(slow: list[float], fast: list[float]) -> float:
    """How many times as long the first takes."""
    return ratio(Samples(tuple(slow)), Samples(tuple(fast))).median


def _growth(found: Figures | None) -> Iterator[Goal]:
    if found is None:
        yield Goal("growth of time and memory", "–", "–", UNKNOWN)
        return
    steps = growth.steps(growth.series(found, "finer"))
    worst = max(steps, key=lambda step: step.excess_s - step.noise_s)
    yield Goal(
        "more slices on the same spine cost at most their reading",
        "no step beyond its noise",
        f"worst step, {worst.slices[0]} to {worst.slices[1]} slices: {worst.excess_s:+.2f} s, "
        f"noise {worst.noise_s:.2f} s",
        MET if worst.excess_s <= worst.noise_s else MISSED,
    )
    slope, _ = growth.memory_line(found["rows"])
    yield _line("peak memory over the volume's int16 size, slope", FACTOR, "", slope, 2)


def _limits(found: Figures | None) -> Iterator[Goal]:
    figure = "networks in the chain, where other work goes on beside them, of that peak"
    if found is None:
        yield Goal(figure, PEAK.words(" %"), "–", UNKNOWN)
        return
    for precision in found["chains"]:
        alone, inside = limits.of_peak(found, precision)
        yield _line(f"networks by themselves, of the convolution peak, {precision}", PEAK, " %",
                    100 * alone, 0)  # fmt: skip
        yield _line(f"{figure}, {precision}", PEAK, " %", 100 * inside, 0)


def _service(found: Figures | None) -> Iterator[Goal]:
    figure = "association's end to results stored, beyond the command alone"
    if found is None:
        yield Goal(figure, SERVICE.words(" s"), "–", UNKNOWN)
        return
    worst = max(added_s(row) for row in found["rows"])
    yield Goal(figure, SERVICE.words(" s"), f"{worst:+.1f} s", SERVICE.judge(worst))


def _page(found: Figures | None) -> Iterator[Goal]:
    figure = "worklist page, from the request to the whole list painted"
    if found is None:
        yield Goal(figure, PAGE.words(" s"), "–", UNKNOWN)
        return
    name = f"{figure}, {int(found['rows'][0]):,} studies"
    yield _line(name, PAGE, " s", median(found["painted_s"]), 2)
