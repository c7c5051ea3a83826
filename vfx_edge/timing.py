"""The record of a run: how long each stage took, on what, with which networks."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from vfx_edge import __version__
from vfx_edge.backends import OpenModels
from vfx_edge.memory import peak_rss_mib, peak_vram_mib
from vfx_edge.study import OnStage, RunInfo


@dataclass
class StageClock:
    """Seconds of each stage, added up. names: the stages that are always listed."""

    names: Iterable[str] = ()
    on_stage: OnStage = lambda _: None
    seconds: dict[str, float] = field(init=False)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.seconds = dict.fromkeys(self.names, 0.0)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.on_stage(name)
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin


def run_info(models: OpenModels, clock: StageClock, warnings: Iterable[str]) -> RunInfo:
    """The record at the end of an analysis, while the networks are still open."""
    return RunInfo(
        version=__version__,
        started_at=clock.started.isoformat(timespec="seconds"),
        model_set=models.manifest.name,
        intended_use=models.manifest.intended_use,
        models=models.uses,
        backend=models.use,
        seconds={**clock.seconds, "total": sum(clock.seconds.values())},
        peak_rss_mib=peak_rss_mib(),
        peak_vram_mib=peak_vram_mib(),
        warnings=(*warnings, *models.warnings),
    )
