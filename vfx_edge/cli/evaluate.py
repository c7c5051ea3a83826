"""`vfx-edge evaluate`: model sets over labelled studies, and the tables of a study."""

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vfx_edge.cli import evaluate_reader, evaluate_repeat, folders, options, parse
from vfx_edge.cli.progress import ShareProgress, TimeLeft
from vfx_edge.cli.stopping import tidy_end

if TYPE_CHECKING:
    from vfx_edge.labelled.dataset import Dataset
    from vfx_edge.scoring.perturb import Perturbation
    from vfx_edge.scoring.readings import Readings
    from vfx_edge.scoring.run import Evaluated, Source, Wanted

DATASET_HELP = (
    "The folder of labelled studies: VerSe's layout or any folders of DICOM, and labels.csv."
)
MASKS = ("chain", "given")
_NAMED = re.compile(r"([\w .+-]{1,60})=(.+)", re.DOTALL)
PAGE = "evaluation.html"

Folder = Annotated[
    Path, typer.Argument(metavar="DATASET", help=DATASET_HELP, show_default=False, readable=False)
]
Out = Annotated[
    Path,
    typer.Option(
        "--out",
        "-o",
        metavar="OUT",
        help="Where the tables go, and what was answered so far: the same command again goes on "
        "from there.",
        readable=False,
    ),
]
Labels = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE",
        help="The labels, where they are not DATASET/labels.csv.",
        show_default=False,
        readable=False,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="SET",
        help="A model set, by name or folder; NAME=SET gives it a name in the tables. Repeatable: "
        "each is an approach, side by side.",
        show_default="default, where nothing else is given to score",
    ),
]
Results = Annotated[
    list[str] | None,
    typer.Option(
        "--results",
        metavar="DIR",
        help="Nothing is run: DIR/<study>/result.json of `vfx-edge run` are read, and masks beside "
        "them. NAME=DIR names them; repeatable.",
        show_default=False,
    ),
]
Predictions = Annotated[
    list[str] | None,
    typer.Option(
        "--predictions",
        metavar="NAME=FILE",
        help="Answers of another program: a CSV file with study, level, p_malignant and, where "
        "there are any, p_osteoporotic and tier. Repeatable.",
        show_default=False,
    ),
]
Splits = Annotated[
    list[str] | None,
    typer.Option(
        "--split",
        metavar="NAME",
        help="Only studies of this split: train, validation, test or external. Repeatable.",
        show_default="all",
    ),
]
OnePerPatient = Annotated[
    bool,
    typer.Option(
        "--one-per-patient",
        help="Of each patient only the first fracture in the labels counts, as in the study.",
    ),
]
Masks = Annotated[
    str,
    typer.Option(
        "--masks",
        metavar="|".join(MASKS),
        help="Whose outlines are measured and classified: the chain's own, or the experts' that "
        "come with the data, as in the study.",
    ),
]
Radiomics = Annotated[
    bool,
    typer.Option(
        "--radiomics",
        help="Measure the radiomics of each vertebra that is found, too, and write features.csv; "
        "with --repeat, stable.csv says which of them repeat. Needs the extra radiomics.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no tables.")]


def evaluate(
    dataset: Folder,
    out: Out,
    labels: Labels = None,
    model: Models = None,
    results: Results = None,
    predictions: Predictions = None,
    split: Splits = None,
    one_per_patient: OnePerPatient = False,
    masks: Masks = "chain",
    backend: options.Backend = "auto",
    device: options.Device = 0,
    gpu_memory: options.GpuMemory = None,
    precision: options.Precision = "auto",
    workers: options.Workers = None,
    retry_failed: options.RetryFailed = False,
    reader: evaluate_reader.Reader = None,
    readings: evaluate_reader.ReadingFiles = None,
    reader_seed: evaluate_reader.Seed = None,
    port: evaluate_reader.Port = 0,
    language: evaluate_reader.Language = "en",
    repeat: evaluate_repeat.Repeat = False,
    perturbations: evaluate_repeat.Perturbations = "all",
    radiomics: Radiomics = False,
    quiet: Quiet = False,
) -> None:
    """Score model sets on labelled studies, with the tables of the study.

    Runs each study, matches what was found with what is known of it, and writes evaluation.json,
    evaluation.html, vertebrae.csv and cases.csv. A study that fails is named, and the rest goes
    on; stopped with Ctrl-C, the same command goes on from there.
    """
    from vfx_edge.scoring.run import Source, Wanted

    needs_ct = bool(model or results or reader or repeat or not predictions)
    asked = evaluate_reader.asked(reader, readings, reader_seed, port, language)
    masks = parse.one_of(masks, MASKS, "choice of masks")
    request = parse.request(backend, device, gpu_memory, precision)
    model = model or ([] if results or predictions else ["default"])
    runs = bool(model or results)
    made = evaluate_repeat.perturbations_of(repeat, perturbations, masks, radiomics, runs)
    wanted_splits = _splits(split)
    with tidy_end():
        folders.check_writable(out)
        wanted = Wanted(
            dataset=_dataset(dataset, labels, wanted_splits, repeat, needs_ct),
            folder=out,
            models=_sources(model, Source),
            results=_sources(results, Source),
            predictions=_sources(predictions, Source),
            masks=masks,
            radiomics=radiomics,
            request=request,
            workers=_workers(workers),
            retry_failed=retry_failed,
        )
        evaluated = _run(wanted, quiet)
        said = evaluate_reader.said(asked, wanted, evaluated, one_per_patient)
        _show(_write(wanted, evaluated, said, dataset, one_per_patient), out / PAGE, quiet)
        _end(wanted, evaluated, made if repeat else None, quiet)


def _workers(wanted: int | None) -> int:
    from vfx_edge.crew.pool import default_workers

    return wanted or default_workers()


def _end(
    wanted: "Wanted",
    evaluated: "Evaluated",
    made: "tuple[Perturbation, ...] | None",
    quiet: bool,
) -> None:
    """Each study again, where that was asked for. NothingAnswered where every study failed."""
    from vfx_edge.scoring.run import NothingAnswered

    if made is not None:
        evaluate_repeat.run_repeat(wanted, made, evaluated.run, quiet)
    if (rows := evaluated.rows.studies) and all(row.failure for row in rows):
        raise NothingAnswered(len(wanted.dataset.studies))


def _splits(given: list[str] | None) -> frozenset[str]:
    from vfx_edge.labelled.dataset import Split

    return frozenset(parse.one_of(name, [*Split], "split") for name in given or ())


def _sources(given: list[str] | None, kind: "type[Source]") -> "tuple[Source, ...]":
    """`NAME=PLACE`, or a place by itself; what is there under the whole text has no name."""
    found = []
    for text in given or ():
        named = None if _is_there(text) else _NAMED.fullmatch(text)
        found.append(kind(named[1].strip(), named[2]) if named else kind("", text))
    return tuple(found)


def _is_there(text: str) -> bool:
    with suppress(OSError, ValueError):  # longer than any name, or a null byte
        return Path(text).exists()
    return False


def _dataset(
    folder: Path, labels: Path | None, splits: frozenset[str], repeat: bool, needs_ct: bool
) -> "Dataset":
    dataset = evaluate_repeat.labelled_or_plain(folder, labels, repeat, needs_ct)
    if not splits:
        return dataset
    chosen = tuple(study for study in dataset.studies if study.split in splits)
    if not chosen:
        there = sorted({str(study.split) for study in dataset.studies if study.split})
        raise typer.BadParameter(
            f"no study is of the split {' or '.join(sorted(splits))}; "
            f"the labels have {', '.join(there) or 'none'}"
        )
    return replace(dataset, studies=chosen)


def _run(wanted: "Wanted", quiet: bool) -> "Evaluated":
    from vfx_edge.scoring.run import evaluate as run

    left = TimeLeft()
    with ShareProgress(quiet) as progress:

        def on_study(name: str, done: int, every: int) -> None:
            words = f"{name}: {done} of {every} studies{left.words(done, every)}"
            progress.step(words, done / max(every, 1))

        return run(wanted, on_study)


def _write(
    wanted: "Wanted",
    evaluated: "Evaluated",
    said: "Readings",
    dataset: Path,
    one_per_patient: bool,
) -> dict[str, Any]:
    """The four files; evaluation.json comes last: where it is, all are."""
    import json

    from vfx_edge.files import write_text
    from vfx_edge.labelled.folders import told
    from vfx_edge.scoring.about import About
    from vfx_edge.scoring.features import write_features
    from vfx_edge.scoring.figures import evaluation
    from vfx_edge.scoring.page import page
    from vfx_edge.scoring.readings import with_readings
    from vfx_edge.scoring.tables import write_studies, write_vertebrae
    from vfx_edge.scoring.whole import MARK, as_a_set

    vertebrae, lost = with_readings(evaluated.rows.vertebrae, said)
    rows, out = replace(evaluated.rows, vertebrae=vertebrae), wanted.folder
    about = About(
        dataset=told(dataset.absolute().name),
        one_per_patient=one_per_patient,
        problems=(*wanted.dataset.problems, *evaluated.problems, *said.problems, *lost),
        run=evaluated.run,
        readings=said,
    )
    content = evaluation(rows.vertebrae, rows.studies, about)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    html = page(content)
    with as_a_set(out):
        write_vertebrae(out / "vertebrae.csv", rows.vertebrae)
        write_studies(out / "cases.csv", rows.studies)
        (out / "features.csv").unlink(missing_ok=True)  # of an earlier run
        if any(row.features for row in rows.vertebrae):
            write_features(out / "features.csv", rows.vertebrae)
        write_text(out / PAGE, html)
        write_text(out / MARK, text)
    return content


def _show(told: dict[str, Any], page: Path, quiet: bool) -> None:
    if quiet:
        return
    from vfx_edge.cli.evaluate_show import show_evaluation

    show_evaluation(told, page)
