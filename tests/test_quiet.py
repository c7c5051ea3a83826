"""Only a library's own lines are dropped, and whatever was changed for that is set back."""

import logging
import os
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from itertools import permutations

import pytest

from vfx_edge.quiet import decoders_quiet, itk_quiet, quiet, runtime_quiet

NOISE = b"\x1b[0;93m2026-11-20 07:02:10.08 [W:onnxruntime:Default, device.cc:3 Get] No GPU\x1b[m\n"
USERS = (runtime_quiet, decoders_quiet, quiet, itk_quiet)


def test_the_runtimes_lines_are_dropped_and_others_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with runtime_quiet():
        os.write(2, NOISE)
        os.write(2, b"something else\n")
        os.write(2, NOISE + b"\x1b[m\n")
        print("a print of the runtime's")
        warnings.warn("a warning of the runtime's", stacklevel=1)
    os.write(2, b"afterwards\n")
    assert capfd.readouterr() == ("", "something else\nafterwards\n")


def test_what_decoders_write_is_dropped_and_pythons_own_lines_pass(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(2, "w", closefd=False) as plain:  # pytest's own is not on descriptor 2
        monkeypatch.setattr(sys, "stderr", plain)
        with decoders_quiet():
            os.write(2, b"Unsupported JPEG data precision 12\n")
            print("our own", file=sys.stderr)
        assert sys.stderr is plain
    with runtime_quiet():
        os.write(2, b"seen again\n")
    assert capfd.readouterr().err == "our own\nseen again\n"


def test_the_descriptor_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), runtime_quiet():
        raise ImportError
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


@pytest.mark.parametrize("leaving", list(permutations(range(len(USERS)))))
def test_overlapping_users_leave_everything_as_it_was(
    leaving: tuple[int, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """A runtime is imported while compressed slices decode: whoever ends first takes nothing."""

    def entered(user: Callable[[], AbstractContextManager[None]]) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(user())
        return stack

    before = (sys.stderr, sys.stdout, list(warnings.filters), logging.getLogger("pydicom").level)
    inside = [entered(user) for user in USERS]
    for number in leaving:
        inside[number].close()
    os.write(2, b"heard\n")
    after = (sys.stderr, sys.stdout, list(warnings.filters), logging.getLogger("pydicom").level)
    assert after == before
    assert capfd.readouterr().err == "heard\n"
