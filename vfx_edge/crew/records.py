"""What was answered so far, a file a study: a run that is stopped or killed goes on from there."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR
from typing import Any, Generic, TypeVar

import msgspec

from vfx_edge import __version__
from vfx_edge.crew.outcomes import Failed, Sentence
from vfx_edge.files import write_bytes
from vfx_edge.inputs.files import MAX_FILES
from vfx_edge.outputs.file_names import safe_stem

SCHEMA = "vfx-edge/study-answer/1"
FOLDER = "studies"
MOST_BYTES = 2**26
"""Of one answer: a stranger may have put the file there."""
AnswerT = TypeVar("AnswerT")
_HASH = 10
"""Hexadecimal digits: names that only differ in what a file system refuses stay apart."""


class _Record(msgspec.Struct, Generic[AnswerT], frozen=True, forbid_unknown_fields=True):
    """A file of the folder."""

    schema: str
    study: str
    key: str
    outcome: AnswerT | None
    failure: Sentence
    died: bool = False

    def told(self) -> AnswerT | Failed:
        return Failed(self.failure, self.died) if self.outcome is None else self.outcome


@dataclass(frozen=True)
class Records(Generic[AnswerT]):
    """The answers of one model set. folder: of the whole evaluation or batch. answer: their type,
    with the bounds that msgspec holds them to."""

    folder: Path
    model: str
    answer: type[AnswerT]
    home: str = FOLDER

    def path(self, study: str) -> Path:
        """Where the answer about a study lies, whatever the study is called."""
        return self.folder / self.home / _file_name(self.model) / f"{_file_name(study)}.json"

    def read(self, study: str, key: str) -> AnswerT | Failed | None:
        """What was answered from just these inputs; None where nothing was, or the file is none."""
        record = self._record(study)
        return None if record is None or record.key != key else record.told()

    def any_of(self, study: str) -> AnswerT | Failed | None:
        """What was answered last, from whatever inputs."""
        record = self._record(study)
        return None if record is None else record.told()

    def _record(self, study: str) -> "_Record[AnswerT] | None":
        try:
            path = self.path(study)
            small = path.is_file() and path.stat().st_size <= MOST_BYTES
            data = path.read_bytes() if small else b""  # a pipe would never end
            record = msgspec.json.decode(data, type=_Record[self.answer])  # type: ignore[name-defined]
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        return record if (record.schema, record.study) == (SCHEMA, study) else None

    def write(self, study: str, key: str, outcome: AnswerT | Failed) -> None:
        """OutputError where it can't be written."""
        if isinstance(outcome, Failed):
            record = _Record[Any](SCHEMA, study, key, None, outcome.reason, outcome.died)
        else:
            record = _Record[Any](SCHEMA, study, key, outcome, "")
        write_bytes(self.path(study), msgspec.json.encode(record) + b"\n")


def key_of(paths: Sequence[Path], about: Mapping[str, Any], **more: Any) -> str:
    """A digest of all that an answer rests on: this version, the model set and the options in
    `about`, name, size and time of every file that is read, and what else there is to say of the
    study: JSON values, of which empty ones are left out."""
    inputs = [list(_files(path)) for path in paths]
    facts = {"version": __version__, "about": dict(about), "inputs": inputs}
    facts |= {name: value for name, value in more.items() if value}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode("utf-8")).hexdigest()


def _files(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, bytes and time of change of a file, or of all in a folder; nothing where it is not
    there: the run says so."""
    if path.name == "result.json":  # its masks lie beside it
        path = path.parent
    files = _below(str(path)) if os.path.isdir(path) else [((path.name,), str(path))]
    for parts, file in files:
        try:
            state = os.stat(file)
        except OSError:
            continue
        if not S_ISDIR(state.st_mode):
            name = os.fsencode("/".join(parts)).decode("utf-8", "replace")
            yield name, state.st_size, state.st_mtime_ns


def _below(folder: str) -> list[tuple[tuple[str, ...], str]]:
    """Files of a study, by the parts of their names, in order; of a folder that holds more than one
    can hold, which the run refuses, some of them. Texts, not paths: an archive has millions."""
    found: list[tuple[tuple[str, ...], str]] = []
    for place, _, names in os.walk(folder):
        inner = os.path.relpath(place, folder)
        parts = () if inner == os.curdir else tuple(inner.split(os.sep))
        found += [((*parts, name), os.path.join(place, name)) for name in names]
        if len(found) > MAX_FILES:
            break
    return sorted(found, key=lambda one: tuple(map(os.path.normcase, one[0])))


def _file_name(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{safe_stem(text, 'study')}-{digest}"
