"""The service as one process: what receives, what analyses and what sends, each in its thread."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Protocol, runtime_checkable

from vfx_edge.service.loop import Loop
from vfx_edge.service.send.sender import Sender, bury_the_unmeant
from vfx_edge.service.settings import Settings
from vfx_edge.service.store.housekeeping import Housekeeping
from vfx_edge.service.store.intake import Intake
from vfx_edge.service.store.queue import OperationalError, Queue
from vfx_edge.service.store.spool import Spool
from vfx_edge.service.worker import Chain, OpenChain, Worker

log = logging.getLogger(__name__)
LOOK_S = 0.5
"""How soon a request to stop is seen."""
GRACE_S = 2.0
"""How long a thread is waited for at the end; what it does then is done again."""


@dataclass(frozen=True)
class Service:
    """What the parts of the running service share."""

    settings: Settings
    spool: Spool
    jobs: Queue
    sends: Queue
    intake: Intake
    stop: threading.Event = field(default_factory=threading.Event)


class Part(Protocol):
    """Something that receives or shows: a DICOM node, a drop folder, a page."""

    def start(self) -> None:
        """Begin, in threads of its own. VfxError leaves."""

    def stop(self) -> None:
        """End."""


@runtime_checkable
class Mortal(Protocol):
    """A part that tells when a bug has ended it."""

    on_death: Callable[[], None] | None


@dataclass
class Threaded:
    """A part that is one thread of `run`, which ends after `stop` is set."""

    name: str
    run: Callable[[threading.Event], None]
    stopped: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    on_death: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin."""
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.run(self.stopped)
        except BaseException:
            if self.on_death is not None:
                self.on_death()
            raise

    def stop(self) -> None:
        """End; a thread that is deep in an analysis is not waited for."""
        self.stopped.set()
        if self.thread is not None:
            self.thread.join(GRACE_S)


@contextmanager
def opened(settings: Settings) -> Iterator[Service]:
    """The spool and its queues, owned, with whatever a kill had left put right. SpoolBusy."""
    spool = Spool(settings.spool, settings.min_free_mib * 2**20)
    with spool.owned():
        spool.recover()
        jobs, sends = Queue(spool.queue_folder, "jobs"), Queue(spool.queue_folder, "sends")
        intake = Intake(spool, jobs, sends, settings.quiet_s, settings.cut_off_quiet_s)
        for queue in (jobs, sends):
            queue.resume(settings.retry_first_s)
        intake.recover()
        bury_the_unmeant(settings, sends)
        yield Service(settings, spool, jobs, sends, intake)


class PartDied(RuntimeError):
    """A bug ended one of the service's threads; half a service is worse than one started anew."""


def serve(
    settings: Settings,
    parts: Callable[[Service], Sequence[Part]],
    chain: Chain | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. `parts`: what brings studies in, given the running service;
    `chain`: what analyses them (None: the real one, its networks opened before anything is let
    in). VfxError leaves, at the start only.
    """
    with opened(settings) as service, ExitStack() as running:
        if chain is None:
            chain = OpenChain(settings.backend, settings.model)
            chain.open()
        inner, loops = _inner(service, chain)
        died = threading.Event()

        def on_death() -> None:
            died.set()
            service.stop.set()

        with _signals() as asked:
            # First those that may be refused, a port for one: no study has been begun then.
            for part in (*parts(service), *inner):
                if isinstance(part, Mortal):
                    part.on_death = on_death
                part.start()
                running.callback(part.stop)
            if on_ready is not None:
                on_ready()
            while not asked and not service.stop.wait(LOOK_S):
                pass
            service.stop.set()
            log.info("stopping")
            for one in inner:
                one.stopped.set()
            for queue in (service.jobs, service.sends):
                queue.wake()
            running.close()
            for loop in loops:
                with suppress(OperationalError):  # "running" on the disk: taken again
                    loop.give_back()
        if died.is_set():
            raise PartDied("a part of the service died, see above")


def _inner(service: Service, chain: Chain) -> tuple[list[Threaded], list[Loop]]:
    """What every service has."""
    settings, spool = service.settings, service.spool
    worker = Worker(settings, spool, service.jobs, service.sends, chain)
    senders = [Sender(settings, to, spool, service.sends) for to in settings.destinations]
    house = Housekeeping(settings, spool, service.jobs, service.sends)
    threads = [
        Threaded("worker", worker.loop.run),
        Threaded("intake", service.intake.run),
        Threaded("housekeeping", house.run),
        *(Threaded(f"sender-{i}", sender.loop.run) for i, sender in enumerate(senders)),
    ]
    return threads, [worker.loop, *(sender.loop for sender in senders)]


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The SIGTERMs and SIGINTs that came while the block runs.

    Only noted: a handler may strike while the very lock is held that setting an event would take,
    and one that strikes in another thread wakes nobody who waits.
    """
    came: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
