"""What one worker reported, put together."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vfx_edge.bench.parity import Facts, NetworkParity, Parity
from vfx_edge.bench.processes import Event, worker
from vfx_edge.bench.record import Row, Throughput
from vfx_edge.bench.samples import Samples
from vfx_edge.bench.worker import Order

OTHER = "other"
"""Time of a study that no stage accounts for."""


@dataclass(frozen=True)
class Failure:
    """Why a worker got no further. exit_code: that of the command, had it run there."""

    exit_code: int
    kind: str
    """Name of the VfxError leaf, or "crashed"."""
    message: str


@dataclass
class Measured:
    """Filled while the worker reports."""

    order: Order
    opened: dict[str, Any] = field(default_factory=dict)
    first_s: float = 0.0
    first_stages: dict[str, float] = field(default_factory=dict)
    warm: list[float] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    facts: list[Facts] = field(default_factory=list)
    """What each run found in the study."""
    warmed: dict[str, Any] = field(default_factory=dict)
    """Peak memory and the like, when the warm runs were done."""
    throughput: Throughput | None = None
    input: dict[str, Any] | None = None
    networks: list[NetworkParity] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)
    """Networks that the chain did not ask anything on this CT."""
    precisions: tuple[str, ...] = ()
    """All that the backend could compute in here; only where it chose by itself."""
    failure: Failure | None = None

    @property
    def precision(self) -> str:
        return str(self.opened.get("precision", self.order.precision))

    def add(self, event: Event) -> None:
        """Take in one event."""
        event = dict(event)
        match event.pop("event"):
            case "opened":
                self.opened = event
            case "run":
                self._run(event)
            case "warmed":
                self.warmed = event
            case "throughput":
                self.throughput = Throughput(self.order.backend, self.precision, **event)
            case "input":
                self.input = event
            case "parity":
                self.networks = [NetworkParity(**one) for one in event["networks"]]
                self.unasked = event["unasked"]
            case "precisions":
                self.precisions = tuple(event["names"])
            case "failed":
                self.failure = Failure(**event)
            case "crashed":
                self.failure = Failure(5, "crashed", event["message"])

    def _run(self, event: Event) -> None:
        self.facts.append(event["facts"])
        if event["kind"] == "first":
            self.first_s, self.first_stages = event["wall"], event["stages"]
            return
        other = max(event["wall"] - sum(event["stages"].values()), 0.0)
        self.warm.append(event["wall"])
        self.stages.append({**event["stages"], OTHER: other})

    def row(self, parity: Parity) -> Row:
        """After warm runs, and without a failure, only."""
        return Row(
            backend=self.order.backend,
            precision=self.precision,
            chosen=self.order.precision == "auto" or self.precisions == (self.precision,),
            device=self.opened["device"],
            open_s=self.opened["seconds"],
            first_s=self.first_s,
            warm=Samples(tuple(self.warm)),
            stages={
                name: Samples(tuple(run[name] for run in self.stages)) for name in self.stages[0]
            },
            peak_rss_mib=self.warmed["peak_rss_mib"],
            peak_vram_mib=self.warmed["peak_vram_mib"],
            parity=parity,
            busy=self.warmed["busy"],
            warnings=tuple(self.warmed["warnings"]),
        )


def measure(
    order: Order,
    cache: Path,
    on_step: Callable[[str, float], None],
    on_note: Callable[[str], None],
) -> Measured:
    """Carry out an order. on_step: what is done, and which share of the order is done.

    cache: an empty folder for compiled networks. What fails stands in `failure`.
    """
    measured = Measured(order)
    begin = time.perf_counter()
    on_step("opening the networks", 0.0)
    with worker("vfx_edge.bench.worker", asdict(order), cache) as running:
        for event in running.events:
            if event["event"] == "note":
                on_note(event["text"])
                continue
            measured.add(event)
            on_step(_doing(measured), _share(measured, time.perf_counter() - begin))
    return measured


def _doing(measured: Measured) -> str:
    order, done = measured.order, len(measured.warm)
    if not measured.facts:
        return "first study"
    if measured.warmed:
        wanted = order.studies if measured.throughput is None else 0
        return f"{wanted} studies in a row" if wanted else "comparing answers"
    if order.duration_s is not None:
        return f"warm study {done + 1}"
    return f"warm study {min(done + 1, order.repeat)} of {order.repeat}"


def _share(measured: Measured, elapsed_s: float) -> float:
    """Of the order, by runs; by the clock where a duration was given."""
    order = measured.order
    if order.duration_s is not None and order.repeat:
        return min(elapsed_s / (order.duration_s + 1), 1.0)
    extra = (measured.throughput is not None) * order.studies
    return (len(measured.facts) + extra) / (2 + order.repeat + order.studies)
