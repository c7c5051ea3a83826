"""What was wanted, and whether the figures reach it."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks import growth, limits
from benchmarks.tables import added_s
from models.recipes.scorecard.goals import MET, MISSED, UNKNOWN, Goal
from vfx_edge.bench.samples import Samples, ratio

Figures = dict[str, Any]
"""One script's figures, or script -> its figures where it has been run."""


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


COMMAND, WARM, MEMORY = Bound(12, 6), Bound(6, 3), Bound(2.5, 1.5)
NNUNET, TORCH, ONNXRUNTIME = (Bound(times, upper=False) for times in (20, 4, 2))
SERVICE, PAGE = Bound(1.5), Bound(1)
FACTOR, PEAK, HELP = Bound(2.5), Bound(60, upper=False), Bound(0.3)


def goals(figures: Figures) -> list[Goal]:
    """All of them, in the order of the document."""
    return [
        *_speed(figures.get("speed")),
        *_peers(figures.get("peers")),
        *_growth(figures.get("growth")),
        *_limits(figures.get("limits")),
        *_service(figures.get("service")),
        *_page(figures.get("page")),
    ]


def _line(figure: str, bound: Bound, unit: str, value: float, digits: int = 1) -> Goal:
    return Goal(figure, bound.words(unit), f"{value:.{digits}f}{unit}", bound.judge(value))


def _speed(found: Figures | None) -> Iterator[Goal]:
    if found is None:
        yield Goal("600 slices of 512²: a study's time and memory", "–", "–", UNKNOWN)
        return
    for row in found["rows"][:2] if found["settings"]["resampled"] else found["rows"][:1]:
        name, whole = row["name"], row["command"]
        peak = max(whole["peak_rss_mib"]) / 1024
        yield _line(f"{name}: whole command", COMMAND, " s", median(whole["wall_s"]))
        yield _line(f"{name}: warm", WARM, " s", median(row["warm"]["wall_s"]), 2)
        yield _line(f"{name}: peak memory of the command", MEMORY, " GiB", peak, 2)
    yield _line("`vfx-edge --help`", HELP, " s", median(found["help_s"]), 2)


def _peers(found: Figures | None) -> Iterator[Goal]:
    if found is None:
        yield Goal("times faster than the peers", "–", "–", UNKNOWN)
        return
    chains = found["chains"]
    wanted = (("PyTorch eager, fp32", "torch", TORCH),
              ("ONNX Runtime's CPU provider", "onnxruntime", ONNXRUNTIME))  # fmt: skip
    for title, key, bound in wanted:
        yield _line(
            f"networks: times faster than in {title}",
            bound,
            "",
            times(chains[key]["networks_s"], chains["openvino"]["networks_s"]),
        )
    if full := found["nnunets"].get("nnunet-1.5mm"):
        value = times(full["wall_s"], chains["openvino"]["wall_s"])
        title = "whole chain: times faster than nnU-Net's full resolution"
        yield _line(title, NNUNET, "", value)


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
    for precision, chain in found["chains"].items():
        peak = limits.conv_peak(found, precision) / 100
        alone = limits.alone(found, precision) / peak
        yield _line(f"networks by themselves, of the convolution peak, {precision}", PEAK, " %",
                    alone, 0)  # fmt: skip
        share = limits.achieved(chain)[0] / peak
        yield _line(f"{figure}, {precision}", PEAK, " %", share, 0)


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
