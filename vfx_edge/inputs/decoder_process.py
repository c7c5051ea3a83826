"""Decodes compressed slices in a process of its own, which a damaged one may end.

A script, started by `decoders.py`; it imports nothing of vfx_edge, and ends with its standard
input. Arguments: the folder that SimpleITK, or else GDCM, lies in, the seconds a slice may take, of
this process' own time and by the clock, the bytes of memory this process may use, a folder for
files (none where they can be in memory), and 1 where SimpleITK, or GDCM, is to be loaded before the
first slice comes.

A request: kind (1 byte), bytes of a plane (8), bytes of what follows (8), little endian, then a
DICOM file (kind D) or RLE segments behind their header (kind R). The answer: its length (8 bytes)
and the stored numbers; length 0 where the slice can't be decoded. Before the first request comes
READY.
"""

import faulthandler
import functools
import os
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, cast

REQUEST = struct.Struct("<cQQ")
READY = b"ready..."


def main() -> None:
    """Answers until the other side is gone."""
    packages, busy, seconds, memory, folder, at_once = sys.argv[1:]
    requests, answers, silent = _channels()
    _confine(int(memory))
    decode = functools.cache(lambda: _decoder(packages, folder))
    if at_once == "1":
        decode()
    answers.write(READY)
    answers.flush()
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        kind, plane, length = REQUEST.unpack(head)
        payload = requests.read(length)
        if len(payload) != length:
            return
        # should the other side be killed meanwhile, nobody else would end a decoder that hangs
        faulthandler.dump_traceback_later(float(seconds), exit=True, file=silent)
        _end_after(float(busy))
        answer = b""
        with suppress(RuntimeError, ValueError, IndexError, MemoryError):
            answer = unpacked(payload, plane) if kind == b"R" else decode()(payload)
        _end_after(0)
        faulthandler.cancel_dump_traceback_later()
        answers.write(struct.pack("<Q", len(answer)))
        answers.write(answer)
        answers.flush()


def _channels() -> tuple[BinaryIO, BinaryIO, BinaryIO]:
    """Requests, answers, and what goes nowhere: there native code may print to descriptor 1."""
    answers = os.fdopen(os.dup(1), "wb")
    silent = open(os.devnull, "wb")  # noqa: SIM115  open as long as this process lives
    os.dup2(silent.fileno(), 1)
    return sys.stdin.buffer, answers, silent


def _confine(memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks
    try:
        import resource
    except ImportError:  # Windows
        return
    for limit, value in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        with suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))


def _end_after(seconds: float) -> None:
    """This process, once it was busy for so long; 0: not at all. Windows has the clock alone."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _decoder(packages: str, folder: str) -> Any:
    """A function from a DICOM file's bytes to its stored numbers.

    SimpleITK's GDCM or, where SimpleITK is left out, as in the container images, GDCM by itself.
    """
    sys.path.append(packages)
    descriptor, name = _file(folder)
    try:
        read = _simple_itk(name)
    except ImportError:
        read = _gdcm(name)

    def decode(data: bytes) -> bytes:
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.truncate(descriptor, 0)
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        return read()

    return decode


def _simple_itk(name: str) -> Callable[[], bytes]:
    # SimpleITK does without: it starts in two thirds of the time
    sys.modules["numpy"] = None  # type: ignore[assignment]
    import SimpleITK as sitk
    from SimpleITK.SimpleITK import _GetMemoryViewFromImage

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(name)

    def read() -> bytes:
        image = reader.Execute()  # its memory goes with it, whatever views there are
        return bytes(_GetMemoryViewFromImage(image))

    return read


def _gdcm(name: str) -> Callable[[], bytes]:
    import gdcm

    def read() -> bytes:
        reader = gdcm.ImageReader()
        reader.SetFileName(name)
        if not reader.Read():
            raise ValueError("GDCM can't read it")
        # its wrapper hands bytes over as text
        return cast(str, reader.GetImage().GetBuffer()).encode("utf-8", "surrogateescape")

    return read


def _file(folder: str) -> tuple[int, str]:
    """A file to hand slices to SimpleITK in, under a name of ASCII."""
    if not folder:
        descriptor = os.memfd_create("slice")
        return descriptor, f"/proc/self/fd/{descriptor}"
    os.chdir(folder)
    name = f"{os.getpid()}.dcm"
    return os.open(name, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)), name


def unpacked(code: bytes, plane: int) -> bytes:
    """RLE segments (PS3.5 G) as planes of bytes, one after another. IndexError, ValueError."""
    count = int.from_bytes(code[:4], "little")
    starts = struct.unpack_from(f"<{count}I", code, 4)
    ends = (*starts[1:], len(code))
    segments = (code[a:b] for a, b in zip(starts, ends, strict=True))
    return b"".join(_unpacked_segment(segment, plane) for segment in segments)


def _unpacked_segment(segment: bytes, size: int) -> bytearray:
    out = bytearray()
    at = filled = 0
    while filled < size:
        head = segment[at]
        if head < 128:
            out += segment[at + 1 : at + head + 2]
            at += head + 2
            filled += head + 1
        elif head > 128:
            out += segment[at + 1 : at + 2] * (257 - head)
            at += 2
            filled += 257 - head
        else:
            at += 1
    if not len(out) == filled == size or segment[at:].strip(b"\0\x80"):
        raise ValueError("another number of bytes than pixels")
    return out


if __name__ == "__main__":
    main()
