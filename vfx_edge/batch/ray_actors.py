"""Studies by actors of Ray, each with networks that stay open; the only file that knows it.

One study at a time is with an actor, so that an archive of any size never lies in Ray's own queue,
and an actor that dies costs one study another go. Without an address the cluster is one of our own
on this machine: it listens on the loopback alone, asks for a token that nobody else knows, tells
nobody how it is used, and ends with this process, however that ends.
"""

import importlib
import os
import secrets
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from vfx_edge import __version__
from vfx_edge.backends.cache import CACHE_VARIABLE, cache_root
from vfx_edge.batch.engine import MODULE, OPENINGS, opening_of
from vfx_edge.batch.outcomes import Done, Task
from vfx_edge.batch.ray_watch import MARK, end, watched
from vfx_edge.crew.outcomes import Failed
from vfx_edge.crew.pool import STUDY_LIMIT_S, died_words
from vfx_edge.crew.serving import line_of
from vfx_edge.errors import BackendError, VfxError, first_line
from vfx_edge.inputs.files import NoScratch
from vfx_edge.parallel import cores, environment, own_environment, share_of_cores
from vfx_edge.scratch import SHOWN, private_folder

POLL_S = 0.5
CONNECT_S = 10.0
STARTS = 3
"""Of a cluster of our own: Ray gives up after 30 s, in which a busy machine may not manage it."""
LONGEST_TEMP = 10
"""Characters of the folder for temporary files: with more, the names of Ray's sockets in it pass
the 107 that the system allows."""
STORE_BYTES = 80 * 2**20
"""Ray's least: only words go through its store, never an image."""


class NoRay(BackendError):
    """There is no cluster to work on."""

    def __init__(self, address: str | None, why: str) -> None:
        where = "on this machine" if address is None else f"at {address}"
        super().__init__(
            f"no Ray cluster could be had {where} ({why}): see that one runs there with this "
            "version of Ray and Python, or leave --engine out and use this machine's processes."
        )


class RayWorkersDie(BackendError):
    """They never come to open their networks."""

    def __init__(self, times: int) -> None:
        super().__init__(
            f"{times} Ray actors in a row died before their networks were open: see that vfx-edge "
            "runs on the cluster's machines, and that they have the memory for it."
        )


class OtherProgram(BackendError):
    """The cluster's machines would make other results."""

    def __init__(self, theirs: str) -> None:
        super().__init__(
            f"a machine of the Ray cluster has vfx-edge {theirs}, and this one {__version__}: "
            "install one version on all of them."
        )


class Ray:
    """Actors of a Ray cluster. address: of a running one; None for one of our own. module: the
    actors' program."""

    def __init__(self, address: str | None = None, module: str = MODULE) -> None:
        self._address, self._module = address, module

    def answers(
        self, tasks: Sequence[Task], order: Mapping[str, Any], workers: int
    ) -> Generator[tuple[int, Done | Failed], None, None]:
        """As `Engine`. NoRay."""
        if not tasks:
            return
        with _cluster(self._address, workers) as ray:
            team = _Team(ray, self._module, tasks, order, workers)
            try:
                yield from team.outcomes()
            finally:
                team.stop()


class StudyWorker:
    """The actor: what it is told comes as words, and so does what it answers."""

    def __init__(self, module: str, order: Mapping[str, Any]) -> None:
        self._module, self._order = module, dict(order)
        self._kept_open = ExitStack()

    def place(self) -> tuple[str, str]:
        """The id of its machine, and the version of this program there."""
        import ray

        return str(ray.get_runtime_context().get_node_id()), __version__

    def open(self, number: int, of: int) -> VfxError | None:
        """Opens the networks; the reason where that can't be. number, of: which part of its
        machine's cores is its own."""
        order = {**self._order, "cores": share_of_cores(number % of, of)}
        try:
            opened = opening_of(self._module)(order)
            self._work, self._is_worn = self._kept_open.enter_context(opened)
        except VfxError as error:
            return error
        return None

    def do(self, line: str) -> dict[str, Any]:
        """One task, as `Work.event`."""
        event = self._work.event(line)
        return {**event, "go_on": event["go_on"] and not self._is_worn()}


@dataclass
class _Lane:
    """An actor and what it was asked last. task: None until its networks are open."""

    actor: Any
    machine: str = ""
    number: int = 0
    task: int | None = None
    until: float = float("inf")


class _Team:
    """The actors of one batch."""

    def __init__(
        self, ray: Any, module: str, tasks: Sequence[Task], order: Mapping[str, Any], workers: int
    ) -> None:
        self._ray, self._tasks, self._workers = ray, tasks, min(workers, len(tasks))
        self._waiting = deque(range(len(tasks)))
        self._asked: dict[Any, _Lane] = {}
        self._unopened = 0
        self._cpus = _cpus_of_machines(ray)
        self._each = _cpus_of_a_worker(list(self._cpus.values()), workers)
        settings = {"num_cpus": self._each, "max_restarts": 0, "max_task_retries": 0}
        kind: Any = ray.remote(**settings, scheduling_strategy="SPREAD")(StudyWorker)
        self._kind, self._told = kind, (module, dict(order))

    def outcomes(self) -> Iterator[tuple[int, Done | Failed]]:
        """Of each task one."""
        for _ in range(self._workers):
            self._begin()
        left = len(self._tasks)
        while left:
            ready, _ = self._ray.wait(list(self._asked), num_returns=1, timeout=POLL_S)
            for outcome in filter(None, [*map(self._heard, ready), *self._too_late()]):
                left -= 1
                yield outcome

    def stop(self) -> None:
        """Nothing of ours goes on in the cluster."""
        for lane in self._asked.values():
            self._ray.kill(lane.actor)

    def _begin(self) -> None:
        """An actor more: its machine first, as it shares that with others."""
        actor = self._kind.remote(*self._told)
        self._asked[actor.place.remote()] = _Lane(actor)

    def _heard(self, ref: Any) -> tuple[int, Done | Failed] | None:
        lane = self._asked.pop(ref)
        try:
            said = self._ray.get(ref)
        except self._ray.exceptions.RayActorError:
            return self._died(lane)
        except self._ray.exceptions.RayError as error:
            self._asked[ref] = lane  # to be ended with the others
            raise NoRay(None, first_line(error)) from None
        if not lane.machine:
            self._open(lane, *said)
            return None
        if lane.task is None:
            self._opened(lane, said)
            return None
        return self._answered(lane, lane.task, said)

    def _open(self, lane: _Lane, machine: str, version: str) -> None:
        if version != __version__:
            raise OtherProgram(version)
        taken = {other.number for other in self._asked.values() if other.machine == machine}
        lane.machine = machine
        lane.number = next(n for n in range(len(taken) + 1) if n not in taken)
        of = max(1, int(self._cpus.get(machine, self._each)) // self._each)
        self._asked[lane.actor.open.remote(lane.number, of)] = lane

    def _opened(self, lane: _Lane, error: VfxError | None) -> None:
        if error is not None:
            raise error
        self._unopened = 0
        self._next(lane)

    def _answered(
        self, lane: _Lane, task: int, event: Mapping[str, Any]
    ) -> tuple[int, Done | Failed]:
        if event["go_on"]:
            self._next(lane)
        else:
            self._replace(lane)
        if event["outcome"] is None:
            return task, Failed(str(event["failure"]))
        return task, msgspec.convert(event["outcome"], Done)

    def _died(self, lane: _Lane) -> tuple[int, Done | Failed] | None:
        if lane.task is not None:
            self._replace(lane)
            return lane.task, Failed(died_words("its Ray actor died"), died=True)
        self._unopened += 1
        if self._unopened >= OPENINGS * self._workers:
            raise RayWorkersDie(self._unopened)
        self._replace(lane)
        return None

    def _too_late(self) -> Iterator[tuple[int, Failed]]:
        now = time.monotonic()
        for ref, lane in list(self._asked.items()):
            if now > lane.until and lane.task is not None:
                del self._asked[ref]
                self._replace(lane)
                how = f"stopped after {STUDY_LIMIT_S:.0f} s"
                yield lane.task, Failed(died_words(how))

    def _next(self, lane: _Lane) -> None:
        """The next study for this actor; its end where there is none."""
        if not self._waiting:
            self._ray.kill(lane.actor)
            return
        lane.task = self._waiting.popleft()
        lane.until = time.monotonic() + STUDY_LIMIT_S
        line = line_of(self._tasks[lane.task]).decode("ascii")
        self._asked[lane.actor.do.remote(line)] = lane

    def _replace(self, lane: _Lane) -> None:
        self._ray.kill(lane.actor)
        if self._waiting:
            self._begin()


def _cpus_of_machines(ray: Any) -> dict[str, float]:
    machines = [one for one in ray.nodes() if one["Alive"]]
    return {str(one["NodeID"]): one["Resources"].get("CPU", 0.0) for one in machines}


def _cpus_of_a_worker(machines: Sequence[float], workers: int) -> int:
    """Its share of the cluster's, and no more than a machine has; 1 where machines come later."""
    share = sum(machines) / workers
    return max(1, int(min(share, max(machines, default=0.0))))


@contextmanager
def _cluster(address: str | None, workers: int) -> Iterator[Any]:
    """Ray, connected. NoRay."""
    with ExitStack() as stack:
        stack.enter_context(environment({"RAY_USAGE_STATS_ENABLED": "0"}))
        if address is not None:
            _check_answers(address)
            yield _connected(address, {"address": address}, stack)
            return
        folder = stack.enter_context(_short_folder())
        stack.callback(end, folder.name)
        stack.enter_context(watched(folder))
        stack.enter_context(environment(_told(workers, folder.name)))
        yield _begun(_own_settings(workers, folder), folder.name, stack)


def _check_answers(address: str) -> None:
    """Ray itself would ask in vain for many minutes. NoRay."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not (host and port.isdecimal()):  # "auto": Ray knows
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise NoRay(address, first_line(error)) from None


def _begun(settings: Mapping[str, Any], name: str, stack: ExitStack) -> Any:
    """A cluster of our own. NoRay."""
    for _ in range(STARTS - 1):
        with suppress(NoRay):
            return _connected(None, settings, stack)
        end(name)
    return _connected(None, settings, stack)


def _connected(address: str | None, settings: Mapping[str, Any], stack: ExitStack) -> Any:
    """Ray itself, until the stack is unwound. NoRay."""
    ray = importlib.import_module("ray")
    # Else it tells the terminal of each worker that dies; it has no public switch for that.
    ray._private.worker._worker_logs_enabled = False
    try:
        ray.init(**settings, log_to_driver=False, configure_logging=False, logging_level="CRITICAL")
    except Exception as error:  # noqa: BLE001  it raises that very class for a start that lasts
        ray.shutdown()
        raise NoRay(address, first_line(error)) from None
    stack.callback(ray.shutdown)
    return ray


def _own_settings(workers: int, folder: Path) -> dict[str, Any]:
    return {
        "address": "local",
        "num_cpus": workers,  # in shares: an actor takes one
        "num_gpus": 0,  # what a worker finds it uses, as the processes do
        "include_dashboard": False,
        "object_store_memory": STORE_BYTES,
        "_temp_dir": str(folder / "r"),  # Ray opens it to everybody: only what is around it is shut
    }


def _told(workers: int, name: str) -> dict[str, str]:
    """Ray reads its settings from the environment, as do the processes that it starts."""
    threads = str(max(1, cores() // workers))
    return {
        MARK: name,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Ray's name for "the loopback alone"
        "RAY_worker_niceness": "0",  # Ray's own 15 is for machines on which other work goes first
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": _token(),
        "PYTHONPATH": own_environment()["PYTHONPATH"],
        CACHE_VARIABLE: str(cache_root()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", threads),
    }


@cache
def _token() -> str:
    """Whom a cluster of this process obeys."""
    return secrets.token_hex(32)


@contextmanager
def _short_folder() -> Iterator[Path]:
    """A private one for sockets and logs. NoScratch."""
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > LONGEST_TEMP and sys.platform != "win32":
        parent = Path("/tmp")
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(private_folder(parent, SHOWN))
        except OSError as error:
            raise NoScratch(error.strerror or type(error).__name__) from None
        yield folder
