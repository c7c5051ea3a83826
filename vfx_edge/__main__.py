"""`python -m vfx_edge`, the same as `vfx-edge`."""

import os
import sys
from typing import NoReturn

from vfx_edge.room import TooLittleMemory, check_start


def program() -> NoReturn:
    """The console script: the command line, unless there is no memory to load it into."""
    try:
        check_start()
        from vfx_edge.cli import program as command_line
    except (TooLittleMemory, MemoryError) as error:
        why = str(error) or "memory ran out: raise its limit"
        sys.stderr.write(f"vfx-edge: {why}.\n")
        sys.stderr.flush()
        os._exit(TooLittleMemory.exit_code)
    command_line()


if __name__ == "__main__":
    program()
