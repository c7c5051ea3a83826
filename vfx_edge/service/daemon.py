"""The service: receiving and sending, each in its own thread, and a process that analyses."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Protocol, runtime_checkable

from vfx_edge.errors import OutputError, VfxError
from vfx_edge.service.analyse.chain import Chain
from vfx_edge.service.analyse.child import order_of
from vfx_edge.service.analyse.parent import ChildChain
from vfx_edge.service.queue_loop import QueueLoop
from vfx_edge.service.send.sender import Sender, give_up_removed_destinations
from vfx_edge.service.settings import Settings
from vfx_edge.service.store.completion import Completion
from vfx_edge.service.store.queue import OperationalError, Queue
from vfx_edge.service.store.retention import Retention
from vfx_edge.service.store.spool import Spool, SpoolGone
from vfx_edge.service.worker import Worker

log = logging.getLogger(__name__)
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
    chain: Chain | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Run until SIGTERM or SIGINT. `parts`: what receives and shows, given the running service;
    `chain`: what analyses (None: the real one); that of a process of its own has its networks open
    before anything is received.
    VfxError, while it runs only where the spool is gone or its queue damaged.
    """
    with open_service(settings) as service, ExitStack() as running:
        chain, end_analysis = _opened(settings, chain)
        running.callback(end_analysis)
        threads, loops = _standard_parts(service, chain)
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
            end_analysis()  # not waited for: it is done again
            running.close()
            for loop in loops:
                with suppress(OperationalError, OutputError):  # "running" there: taken again
                    loop.give_back()
        for failure in failures:
            if isinstance(failure, VfxError):
                raise failure
            raise PartFailed("a part of the service was ended by a bug, see above")


def _opened(settings: Settings, chain: Chain | None) -> tuple[Chain, Callable[[], object]]:
    """What analyses, its networks open, and what ends it at once. VfxError."""
    if chain is None:
        chain = ChildChain(order_of(settings), settings.analysis_limit_s)
    if not isinstance(chain, ChildChain):
        return chain, lambda: None
    try:
        chain.open()
    except BaseException:
        chain.stop()
        raise
    return chain, chain.stop


def _standard_parts(service: Service, chain: Chain) -> tuple[list[ThreadPart], list[QueueLoop]]:
    """The threads that every service has, and the loops among them."""
    settings, spool = service.settings, service.spool
    worker = Worker(settings, spool, service.jobs, service.sends, chain)
    senders = [Sender(settings, to, spool, service.sends) for to in settings.destinations]
    retention = Retention(settings, spool, service.jobs, service.sends)
    threads = [
        ThreadPart("worker", worker.loop.run),
        ThreadPart("completion", service.completion.run),
        ThreadPart("retention", retention.run),
        *(ThreadPart(f"sender-{i}", sender.loop.run) for i, sender in enumerate(senders)),
    ]
    return threads, [worker.loop, *(sender.loop for sender in senders)]


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
