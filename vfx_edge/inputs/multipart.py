"""The parts of a multipart answer -> files, as they come: nothing but a chunk is ever in memory."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from vfx_edge.inputs.files import NoScratch

Write = Callable[[bytes], object]


class Incomplete(Exception):
    """It ends in the middle, or is no multipart."""


class NotWanted(Exception):
    """More than may be taken; says what the server does."""


class Parts:
    """Numbered files in a folder. room: bytes they may take; most: how many they may be.
    NoScratch where they can't be written."""

    def __init__(self, folder: Path, room: int, most: int) -> None:
        self._folder, self._room, self._most = folder, room, most
        self._bytes = 0
        self._sizes: list[int] = []
        self._open: BinaryIO | None = None
        self._ended = False

    @property
    def files(self) -> int:
        """How many there are."""
        return len(self._sizes)

    def since(self, number: int) -> list[Path]:
        """Those from that number on."""
        return [self._path(n) for n in range(number, self.files)]

    def back_to(self, number: int) -> None:
        """Removes those from that number on."""
        self._close()
        for file in self.since(number):
            with suppress(OSError):
                file.unlink()
        self._bytes = sum(self._sizes[:number])
        del self._sizes[number:]

    @contextmanager
    def multipart(self, boundary: str) -> Iterator[Write]:
        """Takes the answer's bytes. Incomplete, NotWanted."""
        from python_multipart.multipart import MultipartParser

        self._ended = False
        try:
            parser = MultipartParser(
                boundary.encode("latin-1", "replace"),
                {
                    "on_part_begin": self._begin,
                    "on_part_data": self._data,
                    "on_part_end": self._close,
                    "on_end": self._end,
                },
            )
            yield parser.write
            if not self._ended:
                raise Incomplete
        except ValueError:  # of which its own errors are kinds
            raise Incomplete from None
        finally:
            self._close()

    @contextmanager
    def single(self) -> Iterator[Write]:
        """Takes an answer that is one object. NotWanted."""
        self._begin()
        try:
            yield lambda chunk: self._data(chunk, 0, len(chunk))
        finally:
            self._close()

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}"

    def _begin(self) -> None:
        if self.files >= self._most:
            raise NotWanted(f"sends more than {self._most} images")
        self._open = self._path(self.files).open("wb")
        self._sizes.append(0)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._bytes += end - start
        if self._bytes > self._room:
            raise NotWanted(f"sends more than the {self._room >> 20} MiB that there is room for")
        self._sizes[-1] += end - start
        assert self._open is not None
        try:
            self._open.write(memoryview(data)[start:end])
        except OSError as error:
            raise NoScratch(error.strerror or type(error).__name__) from None

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def _end(self) -> None:
        self._ended = True
