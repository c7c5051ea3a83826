"""A spool with its queues, as the service has them, and studies in it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vfx_edge.service.settings import Settings
from vfx_edge.service.store.completion import Completion
from vfx_edge.service.store.queue import Queue
from vfx_edge.service.store.spool import Received, Spool


@dataclass
class Clock:
    """Goes on when it is set."""

    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Store:
    """`quiet_s`, `cut_off_s`: when its studies are complete, by its own clock."""

    root: Path
    quiet_s: float = 1.0
    cut_off_s: float = 0.0
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.spool = Spool(self.root)
        self.jobs = Queue(self.spool.queue_folder, "jobs")
        self.sends = Queue(self.spool.queue_folder, "sends")
        self.completion = Completion(
            self.spool, self.jobs, self.sends, self.quiet_s, self.cut_off_s, self.clock
        )

    def receive(self, study: str, *instances: str, content: bytes = b"image") -> None:
        """Instances of a study come in."""
        for instance in instances:
            self.spool.store(study, instance, lambda stream: stream.write(content))

    def complete(self, study: str, *instances: str) -> Received:
        """Its job, when these have come, too."""
        self.receive(study, *instances)
        received = self.completion.complete(study)
        assert received is not None
        return received

    def settings(self, **more: Any) -> Settings:
        """Settings of a service with this spool."""
        return Settings(spool=self.root, **{"min_free_mib": 0, **more})
