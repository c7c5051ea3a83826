"""Metrics for Prometheus: what came, what was found, how long it took, what failed.

Nothing of a patient and no study's name: only counts, seconds and sizes.
"""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from vfx_edge import __version__
from vfx_edge.service.store.queue import Entry, State
from vfx_edge.service.web.worklist import Row, Worklist
from vfx_edge.study import Tier

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)


class Metrics:
    """Counters of this process; `add_worklist` adds the state of the queues."""

    def __init__(self) -> None:
        disable_created_metrics()  # twice the lines, of no use
        self._registry = CollectorRegistry()
        self._events = Counter(
            "vfx_edge_dicom_events",
            "DICOM: instances taken, echoes answered",
            ["event"],
            registry=self._registry,
        )
        self._refused = Counter(
            "vfx_edge_dicom_refused",
            "Connections, associations and instances refused",
            ["reason"],
            registry=self._registry,
        )
        self._studies = Counter(
            "vfx_edge_studies", "Studies analysed, by verdict", ["tier"], registry=self._registry
        )
        self._incomplete = Counter(
            "vfx_edge_incomplete_studies",
            "Studies analysed with a vertebra in view that could not be judged",
            registry=self._registry,
        )
        self._stages = Histogram(
            "vfx_edge_stage_seconds",
            "Seconds of a study in each stage",
            ["stage"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self._verdict = Histogram(
            "vfx_edge_image_to_verdict_seconds",
            "From the last image to the verdict",
            buckets=SECONDS,
            registry=self._registry,
        )
        Gauge("vfx_edge_info", "1", ["version"], registry=self._registry).labels(__version__).set(1)
        for tier in Tier:  # from 0 on: rate() does not see the event with which a series begins
            self._studies.labels(tier.value)

    def count(self, event: str, reason: str) -> None:
        """An event of the DICOM node; `reason` says why something was refused."""
        if event == "refused":
            self._refused.labels(reason).inc()
        else:
            self._events.labels(event).inc()

    def count_verdict(self, row: Row) -> None:
        """A study got its verdict in this process; once for each."""
        self._studies.labels(row.tier).inc()
        if row.verdict and row.verdict.unread:
            self._incomplete.inc()
        for stage, seconds in row.seconds.items():
            self._stages.labels(stage).observe(seconds)
        if row.to_verdict_s is not None:
            self._verdict.observe(row.to_verdict_s)

    def add_worklist(self, worklist: Worklist) -> None:
        """Add the state of the queues and the spool."""
        self._registry.register(_QueueCollector(worklist))

    def text(self) -> bytes:
        """Prometheus' exposition format."""
        return generate_latest(self._registry)


class _QueueCollector(Collector):
    def __init__(self, worklist: Worklist) -> None:
        self._worklist = worklist

    def collect(self) -> Iterable[Metric]:
        depth = GaugeMetricFamily(
            "vfx_edge_queue", "Work by queue and state", labels=["queue", "state"]
        )
        for queue, entries in self._worklist.entries().items():
            for state, count in _by_state(entries).items():
                depth.add_metric([queue, state], count)
        yield depth
        yield GaugeMetricFamily(
            "vfx_edge_receiving_studies",
            "Studies of which images are still coming",
            value=self._worklist.incoming(),
        )
        yield GaugeMetricFamily(
            "vfx_edge_spool_free_bytes",
            "Room on the disk of the spool",
            value=self._worklist.free_bytes(),
        )


def _by_state(entries: list[Entry]) -> dict[str, int]:
    counts = dict.fromkeys((state.value for state in State), 0)
    for entry in entries:
        counts[entry.state.value] += 1
    return counts
