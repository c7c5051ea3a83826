"""What was answered so far, a file a study: a run that is stopped or killed goes on from there."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec

from vfx_edge import __version__
from vfx_edge.files import write_bytes
from vfx_edge.inputs.files import MAX_FILES
from vfx_edge.outputs.file_names import safe_stem
from vfx_edge.scoring.answers import Answer, Failed, Outcome, Sentence, Task

SCHEMA = "vfx-edge/study-answer/1"
FOLDER = "studies"
_HASH = 10
"""Hexadecimal digits: names that only differ in what a file system refuses stay apart."""


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the folder."""

    schema: str
    study: str
    key: str
    outcome: Answer | None
    failure: Sentence


@dataclass(frozen=True)
class Records:
    """The answers of one model set. folder: of the whole evaluation."""

    folder: Path
    model: str

    def path(self, study: str) -> Path:
        """Where the answer about a study lies, whatever the study is called."""
        return self.folder / FOLDER / _file_name(self.model) / f"{_file_name(study)}.json"

    def read(self, study: str, key: str) -> Outcome | None:
        """What was answered from just these inputs; None where nothing was, or the file is none."""
        try:
            path = self.path(study)
            data = path.read_bytes() if path.is_file() else b""  # a pipe would never end
            record = msgspec.json.decode(data, type=_Record)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        if (record.schema, record.study, record.key) != (SCHEMA, study, key):
            return None
        return record.outcome or Failed(record.failure)

    def write(self, study: str, key: str, outcome: Outcome) -> None:
        """OutputError where it can't be written."""
        if isinstance(outcome, Failed):
            record = _Record(SCHEMA, study, key, None, outcome.reason)
        else:
            record = _Record(SCHEMA, study, key, outcome, "")
        write_bytes(self.path(study), msgspec.json.encode(record) + b"\n")


def key_of(task: Task, about: Mapping[str, Any]) -> str:
    """A digest of all that an answer rests on: this version, the model set and the options in
    `about`, and name, size and time of every file that is read."""
    inputs = [list(_files(path)) for path in task.inputs]
    facts = {"version": __version__, "about": dict(about), "inputs": inputs}
    if task.perturbation:
        facts["perturbation"] = task.perturbation
    if task.clinical.known:
        facts["clinical"] = asdict(task.clinical)
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()


def _files(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, bytes and time of change of a file, or of all in a folder; nothing where it is not
    there: the run says so."""
    if path.name == "result.json":  # its masks lie beside it
        path = path.parent
    for file in sorted(_below(path)) if os.path.isdir(path) else [path]:
        try:
            state = file.stat()
        except OSError:
            continue
        if not file.is_dir():
            name = file.relative_to(path).as_posix() if file != path else file.name
            yield os.fsencode(name).decode("utf-8", "replace"), state.st_size, state.st_mtime_ns


def _below(folder: Path) -> list[Path]:
    """Files of a study; of a folder that holds more than one can hold, which the run refuses, some
    of them."""
    found: list[Path] = []
    for place, _, names in os.walk(folder):
        found += [Path(place, name) for name in names]
        if len(found) > MAX_FILES:
            break
    return found


def _file_name(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{safe_stem(text, 'study')}-{digest}"
