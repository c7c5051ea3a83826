"""Everything vfx-edge raises on purpose, as one tree.

    VfxError
    ├── UsageError      exit code 2   what was asked for makes no sense
    ├── InputError      exit code 3   the input can't be used
    ├── ModelError      exit code 4   a model can't be used
    ├── BackendError    exit code 5   the asked backend can't be used, or failed
    └── OutputError     exit code 6   an output can't be written

A leaf takes facts and writes one sentence that names the thing and ends in what to do.
"Not assessable" is a value of the result, never an exception.
"""

import re
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

A_FILE = "a file of the study"
"""In the place of its name."""
_LEAST_NAME = 3
"""Characters: a shorter name may be a part of any sentence, and is nobody's."""


class VfxError(Exception):
    """Base of all expected failures; `exit_code` is the command's.

    names: of files below the input, or within an archive, as the sentence has them. They may be a
    patient's: only a terminal shows them, to the one who named the folder.
    """

    exit_code = 1
    names: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        """From a process of its own it comes as it was: leaves take facts, not their sentence."""
        return _again, (type(self), self.args, dict(vars(self)))

    @property
    def nameless(self) -> str:
        """The sentence for logs and lists, without the names."""
        words = str(self)
        for name in sorted(filter(None, self.names), key=len, reverse=True):
            words = words.replace(name, A_FILE)
        return words


def _again(kind: type[VfxError], words: tuple[Any, ...], facts: dict[str, Any]) -> VfxError:
    error = kind.__new__(kind, *words)
    error.args = words
    vars(error).update(facts)
    return error


class UsageError(VfxError):
    """What was asked for makes no sense."""

    exit_code = 2


class InputError(VfxError):
    """The input can't be used."""

    exit_code = 3


class ModelError(VfxError):
    """A model can't be used."""

    exit_code = 4


class BackendError(VfxError):
    """The asked backend can't be used, or it failed."""

    exit_code = 5


class OutputError(VfxError):
    """An output can't be written."""

    exit_code = 6


def without_names(error: VfxError, files: Iterable[Path]) -> str:
    """The sentence for lists, without the names of these files either; in one line."""
    words = error.nameless
    for file in files:
        for name in (str(file), file.name):
            if len(name) >= _LEAST_NAME:
                words = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", A_FILE, words)
    return "".join(c if c.isprintable() else " " for c in words)


def first_line(error: BaseException) -> str:
    """What an error of others says first, for our sentence; its kind where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:120] if lines else type(error).__name__


def trace_without_words(error: BaseException) -> str:
    """Where in the program an error arose, and what led to it: the lines of a traceback, without
    what the errors say, as that may quote what a file holds."""
    chain = [error]
    while (before := chain[-1].__cause__ or chain[-1].__context__) not in (None, *chain):
        chain.append(before)  # type: ignore[arg-type]
    return "".join(
        "".join(traceback.format_tb(one.__traceback__)) + f"{type(one).__name__}\n"
        for one in reversed(chain)
    )
