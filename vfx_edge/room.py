"""How much memory this process may hold, by every limit that is set on it.

Where memory ends in the middle of a run, native code aborts, or a thread that could not be started
is waited for without end; no handler of ours is asked. So what a run takes is compared with the
limits before it begins, and again when the size of the scan is known. Read from files of Linux
alone, without a module that would have to be loaded; elsewhere no limit is known.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.errors import BackendError, InputError, VfxError


@dataclass(frozen=True)
class Need:
    """MiB, as the three kinds of limit count them: addresses, writable pages of its own, RAM."""

    addresses: float
    data: float
    ram: float

    def plus(self, mib: float) -> "Need":
        """The same and so much memory that is really written to."""
        return Need(self.addresses + mib, self.data + mib, self.ram + mib)


START = Need(240, 160, 64)
"""The command line by itself; `vfx-edge --help` takes 152, 93 and 36."""
RUN = Need(2000, 920, 480)
"""A run, by the shipped networks on two cores, without its scan: 1770, 850 and 490 were measured,
300 more addresses where DICOM results are written, and 120 less of RAM where it is scarce."""
PER_CORE = Need(80, 16, 4)
"""Each further core: stacks and heaps of its threads."""
OF_SCAN = 1.5
"""Times the size of the scan as int16; 1.15 were measured (docs/benchmarks.md)."""
LARGE_SCAN_MIB = 1500.0
"""What a large scan takes besides the run: `OF_SCAN` times 1,000 slices of 512 x 512."""
CORES_EACH = 4
"""More do a single study little good (docs/benchmarks.md)."""


class TooLittleMemory(BackendError):
    """Not even the command line fits, or not even a run on a small scan."""

    def __init__(self, what: str, needed_mib: float, ceiling: "Ceiling") -> None:
        super().__init__(
            f"{what} takes some {needed_mib:.0f} MiB, and {ceiling.words} is "
            f"{ceiling.mib:.0f} MiB: {ceiling.remedy}"
        )


class ScanTooLargeForMemory(InputError):
    """Its voxels, and what is made of them, would not fit."""

    def __init__(self, shape: tuple[int, ...], needed_mib: float, ceiling: "Ceiling") -> None:
        size = " x ".join(str(n) for n in shape)
        super().__init__(
            f"the scan has {size} voxels, which takes some {needed_mib:.0f} MiB, and "
            f"{ceiling.words} is {ceiling.mib:.0f} MiB: {ceiling.remedy}, or give fewer slices"
        )


class MemoryRanOut(BackendError):
    """In the midst of a run, although it had seemed to fit."""

    def __init__(self) -> None:
        super().__init__(
            "memory, or the number of threads or open files that this program may have, ran out: "
            "end other programs, raise its limits, or give fewer slices"
        )


@dataclass(frozen=True)
class Ceiling:
    """The most that this process could hold in all, as one limit has it."""

    mib: float
    kind: str
    """The field of `Need` that it limits."""
    words: str
    remedy: str


def check_start() -> None:
    """TooLittleMemory where not even the command line can be loaded."""
    _check("the command line", START)


def check_run(cores: int) -> None:
    """TooLittleMemory where a run can't fit."""
    _check("a run", _run(cores))


def check_scan(shape: tuple[int, ...], bytes_each: int, cores: int) -> None:
    """ScanTooLargeForMemory where a scan of so many voxels would not fit into a run."""
    voxels = 1.0
    for edge in shape:
        voxels *= edge
    need = _run(cores).plus(OF_SCAN * voxels * bytes_each / 2**20)
    if (ceiling := _too_low(need)) is not None:
        raise ScanTooLargeForMemory(shape, getattr(need, ceiling.kind), ceiling)


def studies_at_once(cores: int) -> int:
    """How many, each in a process of its own, fit into so many cores and the memory that this
    process may use; 1 where that is not known."""
    room = min((limit.mib for limit in ceilings() if limit.kind == "ram"), default=0.0)
    return max(1, min(cores // CORES_EACH, int(room // (RUN.ram + LARGE_SCAN_MIB))))


def ran_out(error: BaseException) -> bool:
    """Whether this is how Python, the system or a runtime says that there is no more of memory,
    threads or open files."""
    if isinstance(error, MemoryError):
        return True
    if not isinstance(error, (RuntimeError, ImportError, OSError)) or isinstance(error, VfxError):
        return False
    return _OUT.search(str(error).lower()) is not None


_OUT = re.compile(
    "can't start new thread|cannot allocate memory|failed to map segment|bad_alloc"
    "|out of memory|too many open files|resource temporarily unavailable"
)


@contextmanager
def memory_error_as_sentence() -> Iterator[None]:
    """What `ran_out` knows becomes MemoryRanOut."""
    try:
        yield
    except (MemoryError, RuntimeError, ImportError, OSError) as error:
        if not ran_out(error):
            raise
        raise MemoryRanOut from error


def _run(cores: int) -> Need:
    more = max(0, cores - 2)
    return Need(
        *(getattr(RUN, k) + more * getattr(PER_CORE, k) for k in ("addresses", "data", "ram"))
    )


def _check(what: str, need: Need) -> None:
    if (ceiling := _too_low(need)) is not None:
        raise TooLittleMemory(what, getattr(need, ceiling.kind), ceiling)


def _too_low(need: Need) -> Ceiling | None:
    lacking = [c for c in ceilings() if c.mib < getattr(need, c.kind)]
    return min(lacking, key=lambda c: c.mib - getattr(need, c.kind), default=None)


def ceilings() -> tuple[Ceiling, ...]:
    """Every limit that is known here."""
    found = [*_resource_limits()]
    held = _kib("/proc/self/status").get("VmRSS")
    if held is not None:
        found += [*_group_limits(held / 1024), *_machine(held / 1024)]
    return tuple(found)


def _resource_limits() -> Iterator[Ceiling]:
    for line in _text("/proc/self/limits").splitlines():
        for name, kind, flag in (
            ("Max address space", "addresses", "ulimit -v"),
            ("Max data size", "data", "ulimit -d"),
        ):
            soft = line.removeprefix(name).split()
            if line.startswith(name) and soft and soft[0].isdigit():
                words = f"this process's limit ({flag})"
                yield Ceiling(int(soft[0]) / 2**20, kind, words, "raise it")


def _group_limits(held_mib: float) -> Iterator[Ceiling]:
    """Of the control groups that this process is in, of either version."""
    for line in _text("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root, most, now = Path("/sys/fs/cgroup"), "memory.max", "memory.current"
        elif "memory" in controllers.split(","):
            root = Path("/sys/fs/cgroup/memory")
            most, now = "memory.limit_in_bytes", "memory.usage_in_bytes"
        else:
            continue
        folder = root / path.strip("/")
        for group in (folder, *folder.parents):
            if group == root.parent:
                break
            limit, used = _text(group / most).strip(), _text(group / now).strip()
            if limit.isdigit() and used.isdigit() and int(limit) < 2**60:
                left = (int(limit) - int(used) + _cache(group)) / 2**20
                words = "what its control group leaves it"
                yield Ceiling(held_mib + left, "ram", words, "raise the container's limit")


def _cache(group: Path) -> int:
    """Bytes of files that the group gives back when it needs them."""
    facts = dict(line.split(" ", 1) for line in _text(group / "memory.stat").splitlines())
    return sum(int(facts.get(name, 0)) for name in ("inactive_file", "active_file"))


def _machine(held_mib: float) -> Iterator[Ceiling]:
    facts = _kib("/proc/meminfo")
    if "MemAvailable" in facts:
        free = (facts["MemAvailable"] + facts.get("SwapFree", 0)) / 1024
        yield Ceiling(held_mib + free, "ram", "what this machine has left", "end other programs")


def _kib(path: str) -> dict[str, int]:
    """The lines `name: number kB` of a file of the system's."""
    found = re.findall(r"^(\w+):\s+(\d+) kB$", _text(path), re.MULTILINE)
    return {name: int(number) for name, number in found}


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text("ascii", "replace")
    except OSError:
        return ""
