"""A whole batch: what is there already, what is left, and what came of it. Ctrl-C and a kill lose
nothing: a study's files are there as a set, then its record; without both it is done again."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from vfx_edge import __version__
from vfx_edge.batch.engine import Engine, Processes
from vfx_edge.batch.outcomes import Done, Task, records_of
from vfx_edge.batch.studies import Found, Study, StudyName
from vfx_edge.crew.outcomes import Failed, Sentence
from vfx_edge.crew.records import key_of
from vfx_edge.errors import InputError, UsageError
from vfx_edge.files import make_folder, write_text
from vfx_edge.fracture_task import Options
from vfx_edge.outputs.kinds import FolderBusy, check_installed
from vfx_edge.scratch import only_one
from vfx_edge.study import BackendRequest, Clinical

if TYPE_CHECKING:
    from vfx_edge.manifest import ModelManifest

SCHEMA = "vfx-edge/batch/1"
ABOUT = "batch.json"
MOST_ABOUT_BYTES = 2**28
GOES = 3
"""How often a study is begun whose process was killed: most likely the machine did it, not the
study."""
PATIENCE_S = 2.0
OnStudy = Callable[[int, int], None]
"""Studies that are done or failed, and how many there are."""


class OtherBatch(UsageError):
    """The folder's results were made otherwise."""

    def __init__(self, folder: Path, differs: Sequence[str]) -> None:
        super().__init__(
            f"{folder} holds a batch made with another {', '.join(differs)}: choose another folder "
            "with --out, or give --redo to do all its studies again."
        )


class NoBatch(InputError):
    """Nothing to summarise."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder} holds no batch: run `vfx-edge batch` into it first.")


class StudiesFailed(InputError):
    """The batch is through, and not all of it was done."""

    def __init__(self, count: int, of: int, page: Path) -> None:
        super().__init__(
            f"{count} of {of} studies are not done: {page} has each with its reason; "
            "`--retry-failed` tries them again."
        )


@dataclass(frozen=True)
class Shard:
    """Part `number` (1..of) of a batch that several machines share."""

    number: int = 1
    of: int = 1

    def has(self, study: str) -> bool:
        """By the name alone: each machine divides alike, whatever it sees first."""
        digest = hashlib.sha256(study.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") % self.of == self.number - 1

    @property
    def suffix(self) -> str:
        """Of the names of its files: "-2-of-4"; "" of a whole."""
        return f"-{self.number}-of-{self.of}" if self.of > 1 else ""


@dataclass(frozen=True)
class Wanted:
    """How a batch is done. out: its folder. redo: also what was made otherwise. clinical: study's
    name -> what is known of its patient; None: no table of it was given."""

    out: Path
    request: BackendRequest = field(default_factory=BackendRequest)
    options: Options = field(default_factory=Options)
    clinical: Mapping[str, Clinical] | None = field(default=None, repr=False)
    kinds: tuple[str, ...] = ("json", "html")
    language: str = "en"
    workers: int = 1
    shard: Shard = Shard()
    retry_failed: bool = False
    redo: bool = False
    engine: Engine = field(default_factory=Processes)


class _Lost(msgspec.Struct, frozen=True):
    """A problem, as batch.json has it: without the path, which may name a patient."""

    place: Sentence
    why: Sentence
    lost: bool


class _AboutFile(msgspec.Struct, frozen=True):
    """batch.json."""

    schema: str
    model: Sentence
    about: dict[str, Any]
    studies: list[StudyName]
    problems: list[_Lost]


@dataclass(frozen=True)
class State:
    """A study and what came of it; outcome None: not yet."""

    study: str
    outcome: Done | Failed | None


def run(
    found: Found, manifest: "ModelManifest", wanted: Wanted, on_study: OnStudy = lambda *_: None
) -> list[State]:
    """Does what is left of the shard. OtherBatch, FolderBusy, ModelError, BackendError,
    OutputError; a study that can't be done is a state with its reason."""
    check_installed(wanted.kinds)
    about = _about(manifest, wanted)
    mine = [study for study in found.studies if wanted.shard.has(study.name)]
    with _alone(wanted):
        _keep_about(wanted, about, manifest.name, found)
        kept = _Kept(wanted, about)
        states = {s.name: kept.outcome(s, retry=wanted.retry_failed) for s in mine}
        left = [study for study in mine if states[study.name] is None]
        done = len(mine) - len(left)
        on_study(done, len(mine))
        for study, outcome in _all_of(left, manifest, wanted, kept):
            kept.keep(study, outcome)
            states[study.name] = outcome
            done += 1
            on_study(done, len(mine))
    return [State(name, outcome) for name, outcome in states.items()]


def _all_of(
    left: list[Study], manifest: "ModelManifest", wanted: Wanted, kept: "_Kept"
) -> Iterator[tuple[Study, Done | Failed]]:
    """Each once; what a killed process had begun is begun again, when all others are through."""
    order = {
        "model": str(manifest.directory),
        "request": asdict(wanted.request),
        "options": _plain(wanted.options),
        "kinds": list(wanted.kinds),
        "language": wanted.language,
        "out": str(wanted.out.absolute()),
        "jobs": str(_place(wanted).absolute() / "jobs"),
    }
    for go in range(1, GOES + 1):
        again: list[Study] = []
        tasks = [_task(study, wanted, kept.key(study)) for study in left]
        with closing(wanted.engine.answers(tasks, order, wanted.workers)) as coming:
            for number, outcome in coming:
                if isinstance(outcome, Failed) and outcome.died and go < GOES:
                    again.append(left[number])
                else:
                    yield left[number], outcome
        left = again


def _task(study: Study, wanted: Wanted, key: str) -> Task:
    place = (wanted.out / "studies" / study.name).absolute()
    known = _clinical(study, wanted)
    if study.server is not None:
        return Task(study.path, place, (), key, known, study.uid, study.server)
    files = tuple(str(file.absolute()) for file in study.files)
    return Task(study.path.absolute(), place, files, key, known, study.uid)


def _clinical(study: Study, wanted: Wanted) -> Clinical | None:
    return None if wanted.clinical is None else wanted.clinical.get(study.name)


class _Kept:
    """The records of a batch; a study is done where its result lies there, too."""

    def __init__(self, wanted: Wanted, about: Mapping[str, Any]) -> None:
        self._wanted, self._about = wanted, about
        self._records = records_of(wanted.out)
        self._keys: dict[str, str] = {}

    def outcome(self, study: Study, *, retry: bool) -> Done | Failed | None:
        """What came of just these inputs."""
        found = self._records.read(study.name, self.key(study))
        if isinstance(found, Done) and not self._result(study.name).is_file():
            return None
        return None if retry and isinstance(found, Failed) else found

    def keep(self, study: Study, outcome: Done | Failed) -> None:
        """OutputError where it can't be written."""
        self._records.write(study.name, self.key(study), outcome)

    def key(self, study: Study) -> str:
        """Of its record: all that its result rests on."""
        if study.name not in self._keys:  # of what lay there when the work began
            known = _clinical(study, self._wanted)
            clinical = None if known is None else asdict(known)
            self._keys[study.name] = key_of(
                study.inputs, self._about, clinical=clinical, told=study.remote_facts
            )
        return self._keys[study.name]

    def _result(self, name: str) -> Path:
        return self._wanted.out / "studies" / name / "result.json"


def _about(manifest: "ModelManifest", wanted: Wanted) -> dict[str, Any]:
    """What may change a result; not the card, nor how many workers there were."""
    return {
        "program": __version__,
        "model set": manifest.digest,
        "backend": wanted.request.backend,
        "precision": wanted.request.precision,
        "levels, classify, signs, explain": _plain(wanted.options),
        "clinical data": wanted.clinical is not None,
        "outputs": list(wanted.kinds),
        "language": wanted.language,
    }


def _plain(options: Options) -> dict[str, Any]:
    """As JSON has it. Masks and names by hand are of one study, and no batch's."""
    chosen = {
        name: value if isinstance(value, str) else [str(level) for level in value]
        for name, value in (("levels", options.levels), ("classify", options.classify))
    }
    return {**chosen, "signs": options.signs, "explain": options.explain}


def _place(wanted: Wanted) -> Path:
    """Whose lock a process holds that does the shard."""
    return wanted.out / "records" / f"{wanted.shard.number}-of-{wanted.shard.of}"


@contextmanager
def _alone(wanted: Wanted) -> Iterator[None]:
    """One process at a time does a shard. FolderBusy."""
    with only_one(make_folder(_place(wanted)), PATIENCE_S) as free:
        if not free:
            raise FolderBusy(wanted.out)
        yield


def _keep_about(wanted: Wanted, about: Mapping[str, Any], model: str, found: Found) -> None:
    """What the folder's results are of. OtherBatch."""
    path = wanted.out / ABOUT
    there = _read_about(path)
    before = {} if there is None else there.about
    differs = [name for name in about if name in before and before[name] != about[name]]
    if differs and not wanted.redo:
        raise OtherBatch(wanted.out, differs)
    if differs:
        shutil.rmtree(records_of(wanted.out).path("").parent, ignore_errors=True)
    facts = {
        "schema": SCHEMA,
        "model": model,
        "about": about,
        "studies": [study.name for study in found.studies],
        "problems": [{"place": p.place, "why": p.why, "lost": p.lost} for p in found.problems],
    }
    write_text(path, json.dumps(facts, indent=1) + "\n")


def _read_about(path: Path) -> _AboutFile | None:
    """None where there is none, or the file is not as it was written."""
    with suppress(OSError, ValueError, RecursionError):
        small = path.is_file() and path.stat().st_size <= MOST_ABOUT_BYTES
        data = path.read_bytes() if small else b""  # a pipe would never end
        found = msgspec.json.decode(data, type=_AboutFile)
        return found if found.schema == SCHEMA else None
    return None


def states_of(out: Path) -> tuple[dict[str, Any], list[State]]:
    """All that is known of a batch, whoever did it: its batch.json, and a state for each study that
    was planned. NoBatch."""
    found = _read_about(out / ABOUT)
    if found is None:
        raise NoBatch(out)
    records = records_of(out)
    facts = {"model": found.model, "problems": [msgspec.to_builtins(one) for one in found.problems]}
    return facts, [State(name, records.any_of(name)) for name in dict.fromkeys(found.studies)]
