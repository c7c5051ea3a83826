"""Only a library's own lines are dropped, and whatever was changed for that is set back."""

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from itertools import permutations
from pathlib import Path
from typing import TextIO
from unittest.mock import Mock

import pytest

from vfx_edge.quiet import quiet, runtime_quiet

NOISE = b"\x1b[0;93m2026-11-20 07:02:10.08 [W:onnxruntime:Default, device.cc:3 Get] No GPU\x1b[m\n"
USERS = (runtime_quiet, quiet, runtime_quiet)


def test_the_runtimes_lines_are_dropped_and_others_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with runtime_quiet():
        os.write(2, NOISE)
        os.write(2, b"something else\n")
        os.write(2, NOISE + b"\x1b[m\n")
        print("a print of the runtime's")
        warnings.warn("a warning of the runtime's", stacklevel=1)
    os.write(2, b"afterwards\n")
    assert capfd.readouterr() == ("", "something else\nafterwards\n")


def test_pythons_own_lines_pass(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(2, "w", closefd=False) as plain:  # pytest's own is not on descriptor 2
        monkeypatch.setattr(sys, "stderr", plain)
        with runtime_quiet():
            os.write(2, NOISE)
            print("our own", file=sys.stderr)
        assert sys.stderr is plain
    assert capfd.readouterr().err == "our own\n"


def test_the_descriptor_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), runtime_quiet():
        raise ImportError
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


@pytest.mark.parametrize("leaving", list(permutations(range(len(USERS)))))
def test_overlapping_users_leave_everything_as_it_was(
    leaving: tuple[int, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    """A runtime is imported while headers are read: whoever ends first takes nothing."""

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


def test_a_stream_that_was_kept_never_writes_into_another_file(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(2, "w", closefd=False) as plain:
        monkeypatch.setattr(sys, "stderr", plain)
        with runtime_quiet():
            handler = logging.StreamHandler()
        with (tmp_path / "result").open("w"), (tmp_path / "other").open("w"):
            handler.emit(logging.makeLogRecord({"msg": "a line of the log"}))
    assert not (tmp_path / "result").read_text() + (tmp_path / "other").read_text()
    assert "a line of the log" in capfd.readouterr().err


def test_meanwhile_standard_error_has_the_terminals_encoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not the locale's; rich has a stand-in there while it draws its bar."""

    class Proxy:
        encoding = None
        errors = None

        def __init__(self, proxied: TextIO) -> None:
            self.rich_proxied_file = proxied

        def fileno(self) -> int:
            return 2

        def flush(self) -> None:
            self.rich_proxied_file.flush()

    with open(2, "w", encoding="cp1252", errors="replace", closefd=False) as terminal:
        monkeypatch.setattr(sys, "stderr", Proxy(terminal))
        with runtime_quiet():
            assert (sys.stderr.encoding, sys.stderr.errors) == ("cp1252", "replace")


def test_without_a_temporary_folder_all_is_dropped(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", Mock(side_effect=FileNotFoundError))
    with runtime_quiet():
        os.write(2, NOISE)
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"
