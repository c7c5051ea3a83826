"""Only the runtime's own lines are dropped."""

import os
import warnings

import pytest

from vfx_edge.backends.quiet import quiet_stderr

NOISE = b"\x1b[0;93m2026-11-20 07:02:10.08 [W:onnxruntime:Default, device.cc:3 Get] No GPU\x1b[m\n"


def test_the_runtimes_lines_are_dropped_and_others_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_stderr():
        os.write(2, NOISE)
        os.write(2, b"something else\n")
        os.write(2, NOISE + b"\x1b[m\n")
        print("a print of the runtime's")
        warnings.warn("a warning of the runtime's", stacklevel=1)
    os.write(2, b"afterwards\n")
    assert capfd.readouterr() == ("", "something else\nafterwards\n")


def test_the_descriptor_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ImportError), quiet_stderr():
        raise ImportError
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"
