"""One foreign network, in a process of its own: made, exported, verified, run as by a user."""

import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import typer

from benchmarks.foreign_cases import CASES, Case, File
from vfx_edge.bench.protocol import serve

MAX_SAID = 400
NOTHING_FOUND = 3
"""Exit code of a run in which a network of random weights found no vertebra: no fault of it."""


@dataclass(frozen=True)
class Order:
    """case: its name in CASES. ct: what it is run on."""

    case: str
    ct: str


@dataclass(frozen=True)
class Step:
    """A command that was given. left: what it wrote although it was refused."""

    command: str
    code: int
    said: str
    bug: str = ""
    left: str = ""

    @property
    def faults(self) -> str:
        """What no command may do."""
        one_line = self.code == 0 or len(self.said.strip().splitlines()) == 1
        odd = "" if one_line else f"not one sentence: {self.said[:MAX_SAID]}"
        return self.bug or (f"left behind: {self.left}" if self.left else odd)


def outcome(order: Order) -> dict[str, Any]:
    """outcome: "ran", "refused" or "BUG"; the command and the sentence that ended it."""
    case = CASES[order.case]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        file = case.make(Path(folder))
        steps = list(_steps(case, file, order.ct))
    last = steps[-1]
    said = last.said.replace(f"{folder}{os.sep}", "").strip()  # nobody's place is published
    found = {"command": last.command, "said": said[-MAX_SAID:]}
    commands = [step.command for step in steps]
    if last.faults:
        return {"outcome": "BUG", **found, "said": last.faults, "commands": commands}
    exported = any(step.command.startswith("vfx-edge models") for step in steps[:-1])
    if last.code and exported and last.code != NOTHING_FOUND:
        return {"outcome": "BUG", **found, "commands": commands}
    return {"outcome": "refused" if last.code and not exported else "ran", **found,
            "commands": commands}  # fmt: skip


def _steps(case: Case, file: File, ct: str) -> Iterator[Step]:
    """Each command in turn, up to the first that is refused."""
    for step in (*_export(case, file), _verify, _run):
        done = step(ct)
        yield done
        if done.code or done.faults:
            return


def _export(case: Case, file: File) -> list[Any]:
    from tests.export.filling import filled

    if case.door == "nnunet":
        return [lambda _: _given("export", ["nnunet", file.path, *file.words, "-o", "mine"])]

    def template(_: str) -> Step:
        words = [case.door, file.path, "--template", "mine.toml", "--role", case.role]
        done = _given("export", words, made="mine.toml")
        if done.code == 0:
            filled(Path("mine.toml"), case.role, case.answers)
        return done

    words = [case.door, file.path, "--manifest", "mine.toml", "-o", "mine"]
    return [template, lambda _: _given("export", words)]


def _verify(_: str) -> Step:
    return _given("vfx-edge", ["models", "verify", "mine"], made="")


def _run(ct: str) -> Step:
    words = ["run", ct, "--model", "./mine", "--out", "result", "--outputs", "json"]
    done = _given("vfx-edge", words, made="")
    if done.code == 0:
        (record,) = Path("result").rglob("result.json")
        sets = json.dumps(json.loads(record.read_text("utf-8"))["run"])
        if '"mine"' not in sets:
            return Step(done.command, 0, done.said, "the set is not in its result")
    return done


def _given(program: str, words: Sequence[Any], made: str = "mine") -> Step:
    """A command line in this process, its two streams in one text. made: what it is to write."""
    from export.__main__ import app as export
    from vfx_edge.cli import answer, app

    names = {"export": "python -m export", "vfx-edge": "vfx-edge"}
    apps: dict[str, typer.Typer] = {"export": export, "vfx-edge": app}
    said, bug, code = io.StringIO(), "", 1
    texts = [str(word) for word in words]
    shown = " ".join([names[program], *(Path(t).name if os.path.isabs(t) else t for t in texts)])
    with (
        mock.patch.object(sys, "argv", [program, *texts]),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(said),
    ):
        try:
            code = answer(apps[program], names[program])
        except Exception as error:  # noqa: BLE001  a bug is what is looked for
            bug = f"{type(error).__name__}: {error}"[:MAX_SAID]
    left = made if code and made and os.path.lexists(made) else ""
    return Step(shown, code, said.getvalue(), bug, left)


if __name__ == "__main__":
    serve(lambda order, parent: parent.report("measured", **outcome(Order(**order))))
