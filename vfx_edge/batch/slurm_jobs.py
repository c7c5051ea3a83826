"""Studies by array jobs of Slurm, through submitit; the only file that knows it.

Each job does a chunk of studies, and its outcomes come back as records in the batch's folder, which
all machines share. So nothing is lost where this process is killed: the jobs go on, and the next
start ends what is left of them and takes what they have done. What a job that died had not done is
sent again.
"""

import importlib
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from vfx_edge.backends.cache import CACHE_VARIABLE, cache_root
from vfx_edge.batch.chunk import Chunk, do
from vfx_edge.batch.engine import MODULE, OPENINGS
from vfx_edge.batch.outcomes import Done, Task, records_of
from vfx_edge.crew.outcomes import Failed
from vfx_edge.crew.pool import died_words
from vfx_edge.errors import BackendError, UsageError, VfxError, first_line
from vfx_edge.files import make_folder
from vfx_edge.parallel import environment, own_environment
from vfx_edge.room import CORES_EACH

CHUNK = 50
"""Studies of a job: a few minutes of them, beside the seconds that its networks take to open."""
MOST_JOBS = 1000
"""At once in Slurm's queue: an array may have 1,001 where nobody has set another limit."""
DEFAULTS: Mapping[str, Any] = {
    "name": "vfx-edge",
    "timeout_min": 240,
    "mem_gb": 4,
    "cpus_per_task": CORES_EACH,
}
LOCAL = "local"
POLL_S = {LOCAL: 0.5, "slurm": 3.0}
ASK_S = 15.0
"""Between two questions to Slurm, for all jobs together: it serves others, too."""
LAG_S = {LOCAL: 0.0, "slurm": 10.0}
"""How late a file of another machine may come into sight."""
GRACE_S = 60.0


class BadSlurmSetting(UsageError):
    """submitit does not know it, or no such value of it."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"--slurm can't be used ({why}): give chunk, cluster, or a parameter of submitit's as "
            "KEY=VALUE; Slurm's own begin with slurm_, as in slurm_partition=gpu."
        )


class SlurmFails(BackendError):
    """It takes no job, or its jobs do not come to anything."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"Slurm does not do the studies ({why}): see that sbatch and squeue work here and that "
            "vfx-edge runs on its nodes, or leave --engine out and use this machine's processes."
        )


@dataclass(frozen=True)
class Settings:
    """chunk: studies a job. cluster: slurm, or local for jobs on this machine. parameters: of
    submitit's executor."""

    chunk: int = CHUNK
    cluster: str = "slurm"
    parameters: Mapping[str, Any] = field(default_factory=dict)


def settings_of(told: Mapping[str, str]) -> Settings:
    """From KEY=VALUE. BadSlurmSetting; SlurmFails where there is no Slurm."""
    parameters: dict[str, Any] = {key: _value(text) for key, text in told.items()}
    chunk, cluster = parameters.pop("chunk", CHUNK), parameters.pop("cluster", "slurm")
    if not isinstance(chunk, int) or chunk < 1:
        raise BadSlurmSetting(f"chunk is {chunk!r} and must be a whole number from 1 on")
    if cluster not in POLL_S:
        raise BadSlurmSetting(f"cluster is {cluster!r} and must be slurm or local")
    settings = Settings(chunk, cluster, parameters)
    with tempfile.TemporaryDirectory() as folder:
        _executor(settings, Path(folder), 1)
    return settings


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _executor(settings: Settings, folder: Path, workers: int) -> Any:
    """BadSlurmSetting, SlurmFails."""
    with environment({"SUBMITIT_LOG_LEVEL": "CRITICAL"}):  # it would write on our terminal
        submitit = importlib.import_module("submitit")
    try:
        executor = submitit.AutoExecutor(folder, cluster=settings.cluster)
    except RuntimeError as error:
        raise SlurmFails(first_line(error)) from None
    at_once = {} if settings.cluster == LOCAL else {"slurm_array_parallelism": workers}
    try:
        executor.update_parameters(**{**DEFAULTS, **at_once, **settings.parameters})
    except (AssertionError, NameError, TypeError, ValueError) as error:
        raise BadSlurmSetting(first_line(error)) from None
    return executor


class Slurm:
    """Array jobs. module: the program of their workers."""

    def __init__(self, settings: Settings | None = None, module: str = MODULE) -> None:
        self._settings, self._module = settings or Settings(), module

    def answers(
        self, tasks: Sequence[Task], order: Mapping[str, Any], workers: int
    ) -> Generator[tuple[int, Done | Failed], None, None]:
        """As `Engine`; of the order also `out` and `jobs`: the batch's folder, and one for the
        jobs' files. SlurmFails."""
        home = Path(order["jobs"])
        for left in sorted(home.glob("*-*")):
            _end_left(left)
        if not tasks:
            return
        folder = make_folder(home / f"{self._settings.cluster}-{secrets.token_hex(4)}")
        folder.chmod(0o700)  # it has the studies' paths
        fleet = _Fleet(self._settings, folder, workers, Chunk(self._module, dict(order), ()), tasks)
        try:
            yield from fleet.outcomes()
        finally:
            _end_left(folder)


@dataclass
class _Job:
    """A job, and the numbers of the tasks that it has not answered yet."""

    job: Any
    left: deque[int]
    place: int
    answered: bool = False
    ended_at: float | None = None


class _Fleet:
    """The jobs of one batch."""

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        workers: int,
        plain: Chunk,
        tasks: Sequence[Task],
    ) -> None:
        self._cluster, self._plain, self._tasks = settings.cluster, plain, tasks
        self._records = records_of(Path(plain.order["out"]))
        self._workers = workers
        self._executor = _executor(settings, folder, workers)
        self._most = workers if settings.cluster == LOCAL else MOST_JOBS
        size = min(settings.chunk, -(-len(tasks) // workers))
        numbers = range(len(tasks))
        self._waiting = deque(list(numbers[at : at + size]) for at in numbers[::size])
        self._jobs: list[_Job] = []
        self._queue = _Queue()
        self._fruitless = 0
        for task in tasks:  # what was said of it before is not this go's answer
            self._records.path(task.out.name).unlink(missing_ok=True)

    def outcomes(self) -> Iterator[tuple[int, Done | Failed]]:
        """Of each task one."""
        while self._waiting or self._jobs:
            self._submit()
            for job in list(self._jobs):
                yield from self._heard(job)
            if self._jobs:
                time.sleep(POLL_S[self._cluster])

    def _submit(self) -> None:
        """As many as may be; on this machine a job for each worker, with its share of the cores."""
        if not self._waiting or len(self._jobs) >= self._most:
            return
        sent: list[tuple[Any, list[int], int]] = []
        taken = {one.place for one in self._jobs}
        free = (place for place in range(self._most) if place not in taken)
        told = {CACHE_VARIABLE: str(cache_root()), "PYTHONPATH": own_environment()["PYTHONPATH"]}
        try:
            with environment(told), self._executor.batch():
                while self._waiting and len(self._jobs) + len(sent) < self._most:
                    numbers, place = self._waiting.popleft(), next(free)
                    job = self._executor.submit(do, self._chunk(numbers, place))
                    sent.append((job, numbers, place))
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            raise SlurmFails(first_line(error)) from None
        self._jobs += [_Job(job, deque(numbers), place) for job, numbers, place in sent]
        self._queue.forget()

    def _chunk(self, numbers: Sequence[int], place: int) -> Chunk:
        tasks = tuple(self._tasks[number] for number in numbers)
        share = (place, self._workers) if self._cluster == LOCAL else None
        return Chunk(self._plain.module, self._plain.order, tasks, share)

    def _heard(self, one: _Job) -> Iterator[tuple[int, Done | Failed]]:
        if not self._may_have_begun(one.job):
            return
        ended = self._has_ended(one.job)
        while one.left and (outcome := self._outcome(one.left[0])) is not None:
            one.answered = True
            yield one.left.popleft(), outcome
        if not ended:
            one.ended_at = None
            return
        for number in list(one.left):
            if (outcome := self._outcome(number)) is not None:
                one.answered = True
                one.left.remove(number)
                yield number, outcome
        one.ended_at = one.ended_at or time.monotonic()
        if not one.left or time.monotonic() - one.ended_at >= LAG_S[self._cluster]:
            self._jobs.remove(one)
            yield from self._after(one)

    def _after(self, one: _Job) -> Iterator[tuple[int, Failed]]:
        """What an ended job has left: where it came to its end, its workers died of these; where
        it was killed, the first one may be why, and the others have another job."""
        through = one.job.paths.result_pickle.exists() and _came_to_its_end(one.job)
        if not one.left:
            self._fruitless = 0
            return
        if through:
            for number in one.left:
                yield number, Failed(died_words("its process died in a job"), died=True)
            return
        self._fruitless = 0 if one.answered else self._fruitless + 1
        if self._fruitless >= OPENINGS:
            raise SlurmFails(f"{self._fruitless} jobs in a row ended without a single study")
        yield one.left.popleft(), Failed(died_words("its job died"), died=True)
        if one.left:
            self._waiting.append(list(one.left))

    def _outcome(self, number: int) -> Done | Failed | None:
        task = self._tasks[number]
        return self._records.read(task.out.name, task.key)

    def _may_have_begun(self, job: Any) -> bool:
        return self._cluster == LOCAL or self._queue.state(job.job_id) != "PENDING"

    def _has_ended(self, job: Any) -> bool:
        if self._cluster == LOCAL:
            return bool(job.done())
        return job.paths.result_pickle.exists() or self._queue.state(job.job_id) is None


def _came_to_its_end(job: Any) -> bool:
    """VfxError where its networks could not be opened."""
    if job.exception() is not None:  # a bug, or a machine without this program
        return False
    if isinstance(said := job.result(), VfxError):
        raise said
    return True


class _Queue:
    """What Slurm says of this user's jobs, asked now and then; squeue needs no accounting."""

    def __init__(self) -> None:
        self._states: dict[str, str] | None = None
        self._asked = float("-inf")

    def forget(self) -> None:
        """There are new jobs: what was said before is not of them."""
        self._asked = float("-inf")

    def state(self, job_id: str) -> str | None:
        """None: it is not in the queue any more. UNKNOWN where nobody answers."""
        if time.monotonic() - self._asked > ASK_S:
            self._asked, self._states = time.monotonic(), None
            with suppress(OSError, subprocess.SubprocessError):
                self._states = _in_queue()
        return "UNKNOWN" if self._states is None else self._states.get(job_id)


def _in_queue() -> dict[str, str]:
    """Job's id, each of an array by itself -> its state."""
    words = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    told = subprocess.run(words, capture_output=True, check=True, timeout=GRACE_S, text=True)
    return dict(line.split()[:2] for line in told.stdout.splitlines() if len(line.split()) > 1)


def _end_left(folder: Path) -> None:
    """What a killed process had begun: its jobs end, and their files go."""
    found = (re.fullmatch(r"(\d+(?:_\d+)?)_submitted\.pkl", p.name) for p in folder.glob("*.pkl"))
    ids = [one[1] for one in found if one and not list(folder.glob(f"{one[1]}_*_result.pkl"))]
    if folder.name.startswith(LOCAL):
        _end_local(ids, folder)
    elif shutil.which("scancel"):
        _end_slurm(ids)
    shutil.rmtree(folder, ignore_errors=True)


def _end_slurm(ids: Sequence[str]) -> None:
    """Arrays as a whole; waits until they are gone."""
    mains = sorted({one.partition("_")[0] for one in ids})
    if not mains:
        return
    with suppress(OSError, subprocess.SubprocessError):
        subprocess.run(["scancel", *mains], capture_output=True, timeout=GRACE_S, check=False)
        until = time.monotonic() + GRACE_S
        while set(ids) & set(_in_queue()) and time.monotonic() < until:
            time.sleep(1.0)


def _end_local(ids: Sequence[str], folder: Path) -> None:
    """An id is a process of submitit's that names the folder: another with this number is none."""
    ours = []
    for one in ids:
        with suppress(psutil.Error, ValueError):
            process = psutil.Process(int(one))
            if os.fspath(folder) in process.cmdline():
                ours += [process, *process.children(recursive=True)]
    for process in ours:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(ours, timeout=GRACE_S)
