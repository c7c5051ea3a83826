"""Limits of memory, as the system's files state them, against what a run takes."""

from pathlib import Path

import pytest

from vfx_edge import room
from vfx_edge.errors import BackendError, InputError
from vfx_edge.manifest import ManifestInvalid

FREE = {
    "/proc/self/status": "VmRSS:\t  102400 kB\n",
    "/proc/meminfo": "MemAvailable:    4194304 kB\nSwapFree:   0 kB\n",
}
NEW = {
    "/proc/self/cgroup": "0::/pod/worker\n",
    "/sys/fs/cgroup/pod/memory.max": str(700 * 2**20),
    "/sys/fs/cgroup/pod/memory.current": str(400 * 2**20),
    "/sys/fs/cgroup/pod/memory.stat": f"anon 1\ninactive_file {200 * 2**20}\n",
    "/sys/fs/cgroup/pod/worker/memory.max": "max\n",
    "/sys/fs/cgroup/pod/worker/memory.current": "1\n",
}
OLD = {
    "/proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/a\n",
    "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": str(300 * 2**20),
    "/sys/fs/cgroup/memory/a/memory.usage_in_bytes": str(100 * 2**20),
}
FLAT = {
    "/proc/self/limits": (
        "Limit                     Soft Limit           Hard Limit           Units\n"
        f"Max data size             {800 * 2**20}  unlimited            bytes\n"
        "Max address space         unlimited            unlimited            bytes\n"
    )
}


@pytest.mark.parametrize(
    ("files", "mib"),
    [({}, 4196), (NEW, 100 + 300 + 200), (OLD, 100 + 200), (FLAT, 800)],
    ids=["machine", "group 2", "group 1", "rlimit"],
)
def test_the_lowest_limit_counts(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], mib: int
) -> None:
    there = {**FREE, **files}
    monkeypatch.setattr(room, "_text", lambda path: there.get(str(path), ""))
    assert min(round(c.mib) for c in room.ceilings()) == mib


def test_a_scan_that_does_not_fit_is_refused_as_input(monkeypatch: pytest.MonkeyPatch) -> None:
    ceiling = room.Ceiling(1000, "ram", "what is left", "end other programs")
    monkeypatch.setattr(room, "ceilings", lambda: (ceiling,))
    room.check_run(cores=2)
    room.check_scan((300, 512, 512), 2, cores=2)
    with pytest.raises(InputError, match=r"600 x 1024 x 1024 voxels, .* end other programs, or"):
        room.check_scan((600, 1024, 1024), 2, cores=2)
    with pytest.raises(BackendError, match="a run takes some"):
        room.check_run(cores=200)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        ImportError("x.so: failed to map segment from shared object"),
        OSError(24, "Too many open files"),
    ],
)
def test_what_runs_out_in_the_middle_is_a_sentence(error: Exception) -> None:
    with (
        pytest.raises(room.MemoryRanOut, match="raise its limits"),
        room.memory_error_as_sentence(),
    ):
        raise error


@pytest.mark.parametrize(
    "error", [RuntimeError("a bug"), ManifestInvalid(Path("m"), "out of memory")]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, room.memory_error_as_sentence():
        raise error
    assert raised.value is error
