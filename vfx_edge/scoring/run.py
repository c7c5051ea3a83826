"""A whole evaluation: each model set over each study, resumable, and the rows that come of it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vfx_edge import __version__
from vfx_edge.crew.pool import Crew, answers
from vfx_edge.crew.records import Records, key_of
from vfx_edge.errors import InputError, UsageError
from vfx_edge.labelled.clinical import clinical_of
from vfx_edge.labelled.dataset import Dataset, LabelledStudy, Problem
from vfx_edge.labelled.folders import told
from vfx_edge.scoring.answers import CHAIN, Answer, Failed, Outcome, Task
from vfx_edge.scoring.joined import Rows, joined, together
from vfx_edge.scoring.predictions import Predicted, predicted, read_predictions
from vfx_edge.scoring.results import ResultMissing, result_of
from vfx_edge.study import BackendRequest, Clinical

if TYPE_CHECKING:
    from vfx_edge.manifest import ModelManifest

MODULE = "vfx_edge.scoring.worker"
OnStudy = Callable[[str, int, int], None]
"""Name of the model set, studies done of it and of all sets, and how many there are in all."""


class NothingAnswered(InputError):
    """Every study failed."""

    def __init__(self, studies: int) -> None:
        super().__init__(
            f"None of the {studies} studies could be scored: look at the reasons above, which the "
            "page has as well"
        )


class SameName(UsageError):
    """Two approaches of one name could not be told apart in the tables."""

    def __init__(self, name: str) -> None:
        super().__init__(f"two approaches are called {name!r}: name one of them, as NAME=…")


@dataclass(frozen=True)
class Source:
    """An approach: where its answers come from. name "": that of the model set."""

    name: str
    place: str
    """A model set's name or folder; a folder of results; a file of predictions."""


@dataclass(frozen=True)
class Wanted:
    """What is evaluated. folder: where answers are kept. masks: "chain" or "given". radiomics:
    whether those of each vertebra are measured."""

    dataset: Dataset
    folder: Path
    models: tuple[Source, ...] = ()
    results: tuple[Source, ...] = ()
    predictions: tuple[Source, ...] = ()
    masks: str = CHAIN
    radiomics: bool = False
    request: BackendRequest = field(default_factory=BackendRequest)
    workers: int = 1
    retry_failed: bool = False
    module: str = MODULE
    """The program of the worker processes."""


@dataclass(frozen=True)
class Evaluated:
    """The rows of all approaches, one after the other, what ran, and what is wrong with files of
    predictions."""

    rows: Rows
    run: Mapping[str, Any]
    problems: tuple[Problem, ...] = ()
    outcomes: Mapping[str, Mapping[str, Outcome]] = field(default_factory=dict)
    """Approach -> study -> what was answered, where its vertebrae lie included."""


@dataclass(frozen=True)
class Approach:
    """One of `Wanted.models` or `results`, ready to be asked. order: for the worker processes.
    about: what an answer rests on besides its study. shown: JSON for the evaluation. tasks: by
    study, or by any other name; those that can't be asked are in `refused`."""

    name: str
    order: Mapping[str, Any]
    about: Mapping[str, Any]
    shown: Mapping[str, Any]
    tasks: Mapping[str, Task]
    refused: Mapping[str, Failed] = field(default_factory=dict)

    @property
    def asks_networks(self) -> bool:
        """False where results that are there are read."""
        return self.order["model"] is not None


def evaluate(wanted: Wanted, on_study: OnStudy | None = None) -> Evaluated:
    """Ctrl-C and a kill lose no study that was answered. ModelError, BackendError, OutputError,
    UsageError; a study that can't be analysed is a row with its reason."""
    started, begin = datetime.now(UTC), time.perf_counter()
    approaches = approaches_of(wanted)
    given = [_predictions(one) for one in wanted.predictions]
    names = [*(one.name for one in approaches), *(one.name for one in given)]
    for name in names:
        if names.count(name) > 1:
            raise SameName(name)
    studies = wanted.dataset.studies
    progress = Progress(on_study or (lambda *_: None), len(approaches) * len(studies))
    parts, kept = [], {}
    for one in approaches:
        found = kept[one.name] = outcomes(one, wanted, progress)
        parts += [joined(one.name, study, found[study.name]) for study in studies]
    parts += [predicted(one, study) for one in given for study in studies]
    run = {
        "version": __version__,
        "started_at": started.isoformat(timespec="seconds"),
        "model_sets": [*(dict(one.shown) for one in approaches), *map(_shown_file, given)],
        "masks": wanted.masks,
        "backend": wanted.request.backend,
        "seconds": round(time.perf_counter() - begin, 1),
    }
    problems = tuple(p for one in given for p in one.problems)
    return Evaluated(together(parts), run, problems, kept)


def approaches_of(wanted: Wanted) -> list[Approach]:
    """Model sets first. ModelError."""
    return [*_of_models(wanted), *_of_results(wanted)]


def _of_models(wanted: Wanted) -> Iterator[Approach]:
    if not wanted.models:
        return
    from vfx_edge.manifest import load_model_set

    sets = [(one, load_model_set(one.place)) for one in wanted.models]
    plain = [manifest.name for _, manifest in sets]
    for one, manifest in sets:
        several = plain.count(manifest.name) > 1
        own_name = f"{manifest.name} {manifest.version}" if several else manifest.name
        name = one.name or own_name
        yield Approach(
            name=name,
            order=_order(wanted, str(manifest.directory)),
            about={"digest": manifest.digest, **_asked(wanted)},
            shown=_shown_set(name, manifest),
            tasks=_asked_of(manifest, wanted.dataset.studies),
        )


def _asked_of(manifest: "ModelManifest", studies: Sequence[LabelledStudy]) -> dict[str, Task]:
    """Facts of the patient reach only a set that reads them: no other answer rests on them."""
    told_clinical = "tabular" in manifest.roles
    return {
        study.name: replace(
            _task(study), clinical=clinical_of(study) if told_clinical else Clinical()
        )
        for study in studies
    }


def _shown_set(name: str, manifest: "ModelManifest") -> dict[str, Any]:
    from vfx_edge.manifest import ClassifierParameters

    classifier = manifest.network("classifier")
    limits = classifier.parameters_of(ClassifierParameters)
    calibration = getattr(classifier, "calibration", None)
    return {
        "name": name,
        "set": manifest.name,
        "version": manifest.version,
        "digest": manifest.digest,
        "folder": told(str(manifest.directory)),
        "thresholds": {
            "height_loss": manifest.height_loss_suspected,
            "malignant": limits.threshold_malignant,
            "osteoporotic": limits.threshold_osteoporotic,
        },
        "calibration": None if calibration is None else calibration.name,
    }


def _of_results(wanted: Wanted) -> Iterator[Approach]:
    for one in wanted.results:
        tasks, refused = {}, {}
        for study in wanted.dataset.studies:
            try:
                result = result_of(Path(one.place), study.name)
                tasks[study.name] = replace(_task(study), result=result)
            except ResultMissing as error:
                refused[study.name] = Failed(error.nameless)
        name = one.name or told(Path(one.place).absolute().name)
        yield Approach(
            name=name,
            order=_order(wanted, None),
            about={"result": True},
            shown={"name": name, "results": True},
            tasks=tasks,
            refused=refused,
        )


def _order(wanted: Wanted, model: str | None) -> dict[str, Any]:
    return {
        "model": model,
        "request": asdict(wanted.request),
        "masks": wanted.masks,
        "radiomics": wanted.radiomics,
    }


def _asked(wanted: Wanted) -> dict[str, Any]:
    """What may change an answer: not the card, nor how much of its memory."""
    request = wanted.request
    asked = {"masks": wanted.masks, "backend": request.backend, "precision": request.precision}
    if not wanted.radiomics:
        return asked
    from vfx_edge.radiomics.mirp_features import mirp_version

    return {**asked, "radiomics": mirp_version()}


def _task(study: LabelledStudy) -> Task:
    return Task(study.path.absolute(), _absolute(study.mask), _absolute(study.centres))


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _predictions(one: Source) -> Predicted:
    return read_predictions(Path(one.place), one.name or told(Path(one.place).stem))


def _shown_file(one: Predicted) -> dict[str, Any]:
    return {"name": one.name, "predictions": one.file}


class Progress:
    """Counts studies over all approaches."""

    def __init__(self, say: OnStudy, every: int) -> None:
        self._say, self._every, self._done = say, every, 0

    def more(self, name: str, count: int = 1) -> None:
        self._done += count
        self._say(name, self._done, self._every)


def _known(task: Task) -> dict[str, Any]:
    return asdict(task.clinical) if task.clinical.known else {}


def outcomes(one: Approach, wanted: Wanted, progress: Progress) -> dict[str, Outcome]:
    """By the tasks' names: those that are kept from before, and what is still to be asked, which is
    kept as it comes. ModelError, BackendError, OutputError."""
    records = Records(wanted.folder, one.name, Answer)
    keys = {
        name: key_of(task.inputs, one.about, perturbation=task.perturbation, clinical=_known(task))
        for name, task in one.tasks.items()
    }
    found: dict[str, Outcome] = dict(one.refused)
    for name, key in keys.items():
        kept = records.read(name, key)
        if kept is not None and not (wanted.retry_failed and isinstance(kept, Failed)):
            found[name] = kept
    progress.more(one.name, len(found))
    left = [name for name in one.tasks if name not in found]
    crew = Crew(one.order, Answer, wanted.module, wanted.workers)
    asked = answers([one.tasks[name] for name in left], crew)
    with closing(asked) as coming:
        for number, outcome in coming:
            name = left[number]
            records.write(name, keys[name], outcome)
            found[name] = outcome
            progress.more(one.name)
    return found
