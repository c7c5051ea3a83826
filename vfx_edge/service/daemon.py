"""The service: receiving and sending, each in its own thread, and processes that analyse."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from types import FrameType
from typing import Protocol, runtime_checkable

from vfx_edge.errors import OutputError, VfxError
from vfx_edge.nvml import cards
from vfx_edge.parallel import cores
from vfx_edge.room import studies_at_once
from vfx_edge.service.analyse.chain import Chain
from vfx_edge.service.analyse.child import order_of
from vfx_edge.service.analyse.parent import ChildChain
from vfx_edge.service.analyse.turns import Turns
from vfx_edge.service.queue_loop import QueueLoop
from vfx_edge.service.send.sender import Sender, give_up_removed_destinations
from vfx_edge.service.settings import Settings
from vfx_edge.service.store.completion import Completion
from vfx_edge.service.store.queue import OperationalError, Queue
from vfx_edge.service.store.retention import Retention
from vfx_edge.service.store.spool import Spool, SpoolGone
from vfx_edge.service.worker import Worker
from vfx_edge.vocabulary import ON_CPU, SERVED

log = logging.getLogger(__name__)
AUTO_WORKERS = 2
"""By itself it takes no more."""
STOP_POLL_S = 0.5
"""After how long a request to stop is seen."""
STOP_WAIT_S = 2.0
"""How long the end of a thread is waited for; what it was doing is done again."""


@dataclass(frozen=True)
class Service:
    """What the parts of the running service share."""

    settings: Settings
    spool: Spool
    jobs: Queue
    sends: Queue
    completion: Completion
    stop: threading.Event = field(default_factory=threading.Event)


class Part(Protocol):
    """A DICOM node, a drop folder, a page."""

    def start(self) -> None:
        """Begin, in threads of its own. VfxError."""

    def stop(self) -> None:
        """End."""


@runtime_checkable
class CanFail(Protocol):
    """A part that calls `on_failure` with the error that has ended it."""

    on_failure: Callable[[BaseException], None] | None


@dataclass
class ThreadPart:
    """A part that is one thread of `run`, which ends after its event is set."""

    name: str
    run: Callable[[threading.Event], None]
    stopped: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    on_failure: Callable[[BaseException], None] | None = None

    def start(self) -> None:
        """Begin."""
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.run(self.stopped)
        except BaseException as error:
            if self.on_failure is not None:
                self.on_failure(error)
            if not isinstance(error, VfxError):
                raise

    def stop(self) -> None:
        """End; a running analysis is not waited for."""
        self.stopped.set()
        if self.thread is not None:
            self.thread.join(STOP_WAIT_S)


@contextmanager
def open_service(settings: Settings) -> Iterator[Service]:
    """The locked spool and its queues; what a kill has left half-done is finished. SpoolBusy."""
    spool = Spool(settings.spool, settings.min_free_mib * 2**20)
    with spool.locked():
        spool.recover()
        jobs, sends = Queue(spool.queue_folder, "jobs"), Queue(spool.queue_folder, "sends")
        completion = Completion(spool, jobs, sends, settings.quiet_s, settings.cut_off_quiet_s)
        for queue in (jobs, sends):
            queue.resume(settings.retry_first_s)
        completion.recover()
        give_up_removed_destinations(settings, sends)
        yield Service(settings, spool, jobs, sends, completion)


class PartFailed(RuntimeError):
    """A bug ended one of the service's threads: the process ends, to be started again."""


def serve(
    settings: Settings,
    parts: Callable[[Service], Sequence[Part]],
    chains: Sequence[Chain] = (),
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. `parts`: what receives and shows, given the running service;
    `chains`: what analyses, a study each at a time (none: the real ones); those of processes of
    their own have their networks open before anything is received.
    VfxError, while it runs only where the spool is gone or its queue damaged.
    """
    # settled once: when the networks are open, less memory is left, and "auto" would say less
    settings = replace(settings, workers=workers(settings))
    with open_service(settings) as service, ExitStack() as running:
        chains = _opened(chains or _chains(settings))
        end_analysis = partial(_end, chains)
        running.callback(end_analysis)
        threads, loops = _standard_parts(service, chains)
        failures: list[BaseException] = []

        def on_failure(error: BaseException) -> None:
            failures.append(error)
            service.stop.set()

        with _signals() as signals:
            # First those that may fail, by a port that is taken: no study has been begun then.
            for part in (*parts(service), *threads):
                if isinstance(part, CanFail):
                    part.on_failure = on_failure
                part.start()
                running.callback(part.stop)
            if on_ready is not None:
                on_ready()
            while not signals and not service.stop.wait(STOP_POLL_S):
                if not service.spool.is_ours():
                    on_failure(SpoolGone(service.spool.root))
            service.stop.set()
            log.info("stopping")
            for thread in threads:
                thread.stopped.set()
            for queue in (service.jobs, service.sends):
                queue.wake()
            end_analysis()
            running.close()
            for loop in loops:
                with suppress(OperationalError, OutputError):  # "running" there: taken again
                    loop.give_back()
        for failure in failures:
            if isinstance(failure, VfxError):
                raise failure
            raise PartFailed("a part of the service was ended by a bug, see above")


def workers(settings: Settings) -> int:
    """How many studies are analysed at once. On a card one: two would share its memory."""
    if settings.workers != "auto":
        return settings.workers
    on_card = cards() > 0 and settings.request.backend not in (*ON_CPU, *SERVED)
    return 1 if on_card else min(AUTO_WORKERS, studies_at_once(cores()))


def _chains(settings: Settings) -> list[ChildChain]:
    count = workers(settings)
    log.info("studies analysed at once: %d", count)
    orders = (order_of(settings, number, count) for number in range(count))
    return [ChildChain(order, settings.analysis_limit_s) for order in orders]


def _opened(chains: Sequence[Chain]) -> Sequence[Chain]:
    """With their networks open. VfxError."""
    try:
        for chain in chains:
            if isinstance(chain, ChildChain):
                chain.open()
    except BaseException:
        _end(chains)
        raise
    return chains


def _end(chains: Sequence[Chain]) -> None:
    """What runs in processes of their own; not waited for: it is done again."""
    for chain in chains:
        if isinstance(chain, ChildChain):
            chain.stop()


def _standard_parts(
    service: Service, chains: Sequence[Chain]
) -> tuple[list[ThreadPart], list[QueueLoop]]:
    """The threads that every service has, and the loops among them."""
    settings, spool = service.settings, service.spool
    turns = Turns(len(chains))
    crew = [
        Worker(settings, spool, service.jobs, service.sends, chain, turns, f"worker {number}")
        for number, chain in enumerate(chains, 1)
    ]
    senders = [Sender(settings, to, spool, service.sends) for to in settings.destinations]
    retention = Retention(settings, spool, service.jobs, service.sends)
    threads = [
        *(ThreadPart(f"worker-{i}", worker.loop.run) for i, worker in enumerate(crew, 1)),
        ThreadPart("completion", service.completion.run),
        ThreadPart("retention", retention.run),
        *(ThreadPart(f"sender-{i}", sender.loop.run) for i, sender in enumerate(senders)),
    ]
    return threads, [*(one.loop for one in crew), *(one.loop for one in senders)]


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The SIGTERMs and SIGINTs that came while the block runs.

    Only noted: a handler may interrupt a thread that holds the lock which setting an event takes.
    """
    received: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
