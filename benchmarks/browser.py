"""A headless Chromium that is asked by its own protocol, over two pipes: no port, no library."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import psutil

from vfx_edge.bench.processes import ProcessFailed

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--window-size=1400,1000",
    "--enable-logging=stderr",
)
_END = b"\0"
_START = """import os, sys
os.dup2(int(sys.argv[1]), 3), os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])"""
"""The browser takes the protocol's pipes as descriptors 3 and 4."""


class Browser:
    """One open page. Whatever it is asked, it answers before the call returns."""

    def __init__(self, process: psutil.Popen, asks: int, answers: int) -> None:
        self._process = process
        self._asks = asks
        self._answers = answers
        self._left = b""
        self._number = 0
        self._session = ""
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self._call("Page.enable")

    def open(self, address: str) -> None:
        """Go to a page; not waited for."""
        self._call("Page.navigate", url=address)

    def evaluate(self, script: str) -> Any:
        """What a script of the page's gives in the end: plain JSON values."""
        asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
        return self._call("Runtime.evaluate", **asked)["result"].get("value")

    def cpu_s(self) -> float:
        """Seconds of processor time of all its processes so far."""
        total = 0.0
        for one in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.Error):  # ended meanwhile
                times = one.cpu_times()
                total += times.user + times.system
        return total

    def _call(self, method: str, **given: Any) -> dict[str, Any]:
        self._number += 1
        asked = {"id": self._number, "method": method, "params": given}
        if self._session:
            asked["sessionId"] = self._session
        os.write(self._asks, json.dumps(asked).encode() + _END)
        while (answer := self._message()).get("id") != self._number:
            pass  # an event that nobody asked for
        if "error" in answer:
            raise ProcessFailed(PROGRAM, answer["error"]["message"])
        found: dict[str, Any] = answer["result"]
        return found

    def _message(self) -> dict[str, Any]:
        while _END not in self._left:
            if not (more := os.read(self._answers, 2**20)):
                raise ProcessFailed(PROGRAM, "it has ended")
            self._left += more
        text, _, self._left = self._left.partition(_END)
        found: dict[str, Any] = json.loads(text)
        return found


@contextmanager
def browser(log: IO[bytes] | int = subprocess.DEVNULL) -> Iterator[Browser]:
    """A browser with an empty profile, ended with the block. ProcessFailed where there is none.
    log: gets what pages write to their console, errors among it."""
    if not PROGRAM:
        raise ProcessFailed("chromium", "it is not on the PATH")
    (its_asks, asks), (answers, its_answers) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [PROGRAM, *_OPTIONS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        process = psutil.Popen(
            [sys.executable, "-c", _START, str(its_asks), str(its_answers), *words, "about:blank"],
            pass_fds=(its_asks, its_answers),
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": ""},
        )
        os.close(its_asks)
        os.close(its_answers)
        try:
            yield Browser(process, asks, answers)
        finally:
            process.terminate()
            process.wait()
            os.close(asks)
            os.close(answers)
