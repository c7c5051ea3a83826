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
    [
        (Terminal, False, ("Building", "card")),
        (Terminal, True, ()),
        (io.StringIO, False, ("card",)),
        (io.StringIO, True, ()),
    ],
)
def test_a_backend_that_builds_an_engine_or_warns_is_heard(
    monkeypatch: pytest.MonkeyPatch, stream: type[io.StringIO], quiet: bool, shown: tuple[str, ...]
) -> None:
    stderr = stream()
    monkeypatch.setattr(sys, "stderr", stderr)
    log = logging.getLogger("vfx_edge.backends")
    with StageProgress(quiet):
        log.info("Building the engine")
        for _ in range(2):
            log.warning("A graphics card is there")
    log.info("after the run")
    text = stderr.getvalue()
    assert [word for word in ("Building", "card") if text.count(word) == 1] == [*shown]
    assert "after the run" not in text
    assert log.handlers == []
