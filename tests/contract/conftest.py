"""The command as the outside world sees it: a process, its exit code, its two streams, its files.

Nothing here imports vfx_edge.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import HANG_S

WITHOUT_ROOT_POWERS = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
]


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    def assert_refused(self, code: int) -> str:
        """Exit code `code` and exactly one sentence on standard error, which is returned."""
        assert self.code == code, self
        assert self.stdout == ""
        sentence = self.stderr.removesuffix("\n")
        assert sentence.startswith("vfx-edge: ")
        assert sentence.endswith(".")
        assert "\n" not in sentence
        assert "Traceback" not in sentence
        assert not re.search(r"[a-z)][.!?] [A-Z]", sentence), "more than one sentence"
        return sentence


Command = Callable[..., Answer]


def call(*args: object, cwd: Path, prefix: list[str] | None = None) -> Answer:
    """`vfx-edge ARGS` in `cwd`, as a process of its own without a terminal."""
    done = subprocess.run(
        [*(prefix or []), sys.executable, "-m", "vfx_edge", *map(str, args)],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def vfx(tmp_path: Path) -> Command:
    """`vfx-edge` run in an empty folder."""
    (tmp_path / "cwd").mkdir()
    return lambda *args, **more: call(*args, cwd=tmp_path / "cwd", **more)


@pytest.fixture
def without_root_powers() -> list[str]:
    """What to put before a command so that file permissions hold for it."""
    if sys.platform == "win32":
        pytest.skip("POSIX permissions")
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may read and write everything, and setpriv is not there to change that")
    return WITHOUT_ROOT_POWERS


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A phantom's folder, as `vfx-edge phantom` writes it: T11 to L3, L1 broken."""
    folder = tmp_path_factory.mktemp("phantom")
    answer = call(
        *("phantom", folder / "ct", "--levels", "T11-L3", "--spacing", "2.5", "--matrix", "208"),
        *("--fracture", "L1:wedge:0.4", "--seed", "3"),
        cwd=folder,
    )
    assert answer.code == 0, answer
    return folder / "ct"


@pytest.fixture(scope="session")
def default_models() -> Path:
    """The shipped model set's folder, as the command names it."""
    shown = call("models", "show", "default", cwd=Path(__file__).parent)
    assert shown.code == 0, shown
    (folder,) = re.findall(r"^folder +(.+)$", shown.stdout, re.MULTILINE)
    return Path(folder)
