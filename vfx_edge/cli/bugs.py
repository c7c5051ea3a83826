"""How a bug is told: where in the program it arose, and nothing of what a file holds.

What Python and libraries say of an error quotes the value they fell over, which may be a name or a
date of birth; service logs are kept, and tracebacks are sent around.
"""

import sys
import threading
from types import TracebackType
from typing import Any

from vfx_edge.cli.show import tell
from vfx_edge.errors import trace_without_words
from vfx_edge.quiet import mute_libraries

BUG = 1


def say(error: BaseException) -> int:
    """Print it to standard error; the exit code."""
    trace = f"Traceback (innermost last):\n{trace_without_words(error)}"
    ask = "vfx-edge: a bug: please report these lines; what the error says is left out"
    tell(f"{trace}{ask}.")
    return BUG


def keep_words_private() -> None:
    """For the whole process, in every thread; libraries are muted, too."""
    mute_libraries()
    threading.excepthook = _in_thread
    sys.excepthook = _at_the_end
    sys.unraisablehook = _in_passing


def _in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        say(args.exc_value)


def _at_the_end(
    _kind: type[BaseException], error: BaseException, _trace: TracebackType | None
) -> None:
    say(error)


def _in_passing(args: Any) -> None:
    """What is raised while an object is deleted; `sys.UnraisableHookArgs` exists for type checkers
    alone."""
    if args.exc_value is not None:
        say(args.exc_value)
