"""`python -m vfx_edge`, the same as `vfx-edge`."""

import gc
import os
import sys
from contextlib import suppress
from typing import NoReturn

from vfx_edge.room import TooLittleMemory, check_start

STOPPED = 130
_NEW_OBJECTS = 50_000
"""Python looks for rubbish after so many. After 700, as it does by itself, it would look dozens of
times through what imports leave for good: a tenth of a second."""


def program() -> NoReturn:
    """The console script: the command line, unless there is no memory to load it into."""
    _fill_streams()
    # NumPy's matrices are small here: a second thread only waits for the first, at full load, and
    # lets a phantom's last bit hang on how many there are.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(_NEW_OBJECTS)
    try:
        check_start()
        from vfx_edge.cli import program as command_line
    except (TooLittleMemory, MemoryError) as error:
        _end(str(error) or "memory ran out: raise its limit", TooLittleMemory.exit_code)
    except KeyboardInterrupt:
        _end("stopped", STOPPED)
    command_line()


def _end(why: str, code: int) -> NoReturn:
    with suppress(OSError):  # whoever can't be told still gets the exit code
        sys.stderr.write(f"vfx-edge: {why}.\n")
        sys.stderr.flush()
    os._exit(code)


def _fill_streams() -> None:
    """Where standard input, output or error is closed, nothing is in its place: else the next file
    that is opened would get its number, and what is printed would be written into it."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            setattr(sys, name, open(nothing, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


if __name__ == "__main__":
    program()
