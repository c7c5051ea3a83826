"""What a harness is, and what it may end in."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vfx_edge.errors import InputError, VfxError

Try = Callable[[bytes], None]
Mutate = Callable[[bytes, int, int], bytes]
"""(input, most bytes, seed) -> another input; b"" leaves it to the fuzzer."""
FOUND = Path(__file__).parent / "found"
IN_MEMORY = "vfx-fuzz-"
"""Begins the names of folders in memory; the harness' temporary folder follows."""


@dataclass(frozen=True)
class Target:
    """`open` makes the function that tries one input; `seeds`: inputs that are right, to begin
    with. `longest`: bytes of an input."""

    name: str
    open: Callable[["Work"], Try]
    seeds: Callable[[], Sequence[bytes]]
    mutate: Mutate | None = None
    longest: int = 20_000

    def found(self) -> list[Path]:
        """Inputs that were findings once."""
        return sorted(path for path in (FOUND / self.name).glob("*") if path.is_file())


class Finding(AssertionError):
    """The product broke its word."""


class Work:
    """A folder in memory where inputs lie, and a temporary folder that must stay empty."""

    def __init__(self) -> None:
        shm = Path("/dev/shm")
        where = shm if os.access(shm, os.W_OK) else None
        of_harness = f"{IN_MEMORY}{Path(tempfile.gettempdir()).name}-"  # several may run at once
        self.root = Path(tempfile.mkdtemp(prefix=of_harness, dir=where))
        self.input = self.root / "in"
        self.temporary = self.root / "tmp"
        self.temporary.mkdir()
        tempfile.tempdir = str(self.temporary)

    def put(self, files: dict[str, bytes]) -> Path:
        """The input folder with these files, and no others."""
        shutil.rmtree(self.input, ignore_errors=True)
        self.input.mkdir()
        for name, content in files.items():
            (self.input / name).write_bytes(content)
        return self.input

    def check(self) -> None:
        """Finding where something was made outside the input."""
        if left := os.listdir(self.temporary):
            shutil.rmtree(self.temporary)
            self.temporary.mkdir()
            raise Finding(f"left in the temporary folder: {left[:3]}")
        if others := set(os.listdir(self.root)) - {"in", "tmp"}:
            raise Finding(f"made outside: {sorted(others)[:3]}")

    def close(self) -> None:
        """Nothing stays."""
        tempfile.tempdir = None
        shutil.rmtree(self.root, ignore_errors=True)


def allowed(
    action: Callable[[], object], branch: type[VfxError] | tuple[type[VfxError], ...] = InputError
) -> None:
    """A result, or an error of the branch with a sentence; Finding else, or what was raised."""
    try:
        action()
    except branch as error:
        sentence = str(error)
        if "\n" in sentence.strip() or not sentence.strip():
            raise Finding(f"not one line: {sentence!r}") from error
        if not (set(sentence) & {":", ";"}):
            raise Finding(f"does not say what to do: {sentence!r}") from error


def packed(files: Sequence[bytes]) -> bytes:
    """Several files as one input."""
    return b"".join(len(content).to_bytes(4, "little") + content for content in files)


def unpacked(data: bytes, most: int = 6) -> Iterator[bytes]:
    """The files of an input, whatever its lengths say."""
    at = 0
    while at + 4 <= len(data) and most:
        length = int.from_bytes(data[at : at + 4], "little")
        yield data[at + 4 : at + 4 + length]
        at, most = at + 4 + length, most - 1
