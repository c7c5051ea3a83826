"""What people see while they wait: on a terminal only, and nothing when they want quiet."""

import io
import logging
import sys

import pytest

from vfx_edge.cli.progress import StageProgress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "quiet", "shown"),
    [(Terminal, False, True), (Terminal, True, False), (io.StringIO, False, False)],
)
def test_a_backend_that_builds_an_engine_is_heard(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], quiet: bool, shown: bool
) -> None:
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    log = logging.getLogger("vfx_edge.backends")
    with StageProgress(quiet):
        log.info("Building the engine")
    log.info("after the run")
    text = stderr.getvalue()
    assert ("Building the engine" in text) == shown
    assert "after the run" not in text
    assert log.handlers == []
