"""The cases' verdicts, by a worker that is started anew whenever a case ends or stops it."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.waiting import HANG_S

ROOT = Path(__file__).resolve().parents[2]


def verdicts(titles: Sequence[str], folder: Path) -> Iterator[tuple[str, list[str]]]:
    """(title, what is wrong) of each case, in order."""
    left = list(titles)
    while left:
        with _Worker(folder, left) as worker:
            for title, found in worker.answers():
                left.pop(0)
                yield title, found


class _Worker:
    def __init__(self, folder: Path, titles: Sequence[str]) -> None:
        self._titles = list(titles)
        self._lines: queue.Queue[str] = queue.Queue()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.worker", str(folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def __enter__(self) -> "_Worker":
        self._threads = [threading.Thread(target=one) for one in (self._read, self._write)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.kill()
        for thread in self._threads:
            thread.join()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _write(self) -> None:
        assert self._process.stdin is not None
        try:
            with self._process.stdin as titles:
                titles.writelines(f"{title}\n" for title in self._titles)
        except OSError:
            return  # it has ended, as its output will show

    def answers(self) -> Iterator[tuple[str, list[str]]]:
        """Until all are there, or one has ended or stopped the process."""
        for title in self._titles:
            try:
                line = self._lines.get(timeout=HANG_S)
            except queue.Empty:
                yield title, [f"no answer within {HANG_S:.0f} s"]
                return
            if not line:
                yield title, [f"the process ended with code {self._process.wait()}"]
                return
            answer = json.loads(line)
            assert answer["title"] == title
            yield title, answer["wrong"]
