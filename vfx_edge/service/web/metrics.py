"""Metrics for Prometheus: what came, what was found, how long it took, what failed.

Nothing of a patient and no study's name: only counts, seconds and sizes.
"""

import collections
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
from vfx_edge.service.store.queue import State
from vfx_edge.service.web.worklist import Row, Worklist
from vfx_edge.study import Tier

SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)


class Metrics:
    """Counters of this process; `add_worklist` adds the state of the queues."""

    def __init__(self) -> None:
        disable_created_metrics()  # twice the lines, of no use
        registry = self._registry = CollectorRegistry()
        text = "DICOM: instances taken, echoes answered"
        self._events = Counter("vfx_edge_dicom_events", text, ["event"], registry=registry)
        text = "Connections, associations and instances refused"
        self._refused = Counter("vfx_edge_dicom_refused", text, ["reason"], registry=registry)
        text = "Studies analysed, by verdict"
        self._studies = Counter("vfx_edge_studies", text, ["tier"], registry=registry)
        text = "Studies analysed with a vertebra in view that could not be judged"
        self._incomplete = Counter("vfx_edge_incomplete_studies", text, registry=registry)
        self._stages = Histogram(
            "vfx_edge_stage_seconds",
            "Seconds of a study in each stage",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self._verdict = Histogram(
            "vfx_edge_image_to_verdict_seconds",
            "From the last image to the verdict",
            buckets=SECONDS,
            registry=registry,
        )
        Gauge("vfx_edge_info", "1", ["version"], registry=registry).labels(__version__).set(1)
        for tier in Tier:  # from 0 on: rate() does not see the event with which a series begins
            self._studies.labels(tier.value)

    def show_workers(self, count: int) -> None:
        """How many studies may be analysed at once."""
        text = "Studies that may be analysed at once"
        Gauge("vfx_edge_workers", text, registry=self._registry).set(count)

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
        worklist = self._worklist
        text, labels = "Work by queue and state", ["queue", "state"]
        depth = GaugeMetricFamily("vfx_edge_queue", text, labels=labels)
        for queue, entries in worklist.entries().items():
            count = collections.Counter(entry.state for entry in entries)
            for state in State:
                depth.add_metric([queue, state.value], count[state])
        yield depth
        text = "Studies of which images are still coming"
        yield GaugeMetricFamily("vfx_edge_receiving_studies", text, value=worklist.incoming())
        text = "Room on the disk of the spool"
        yield GaugeMetricFamily("vfx_edge_spool_free_bytes", text, value=worklist.free_bytes())
