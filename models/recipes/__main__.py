"""How the shipped weights were made: one command a step, each resumable. See the README here."""

import math
import shutil
from pathlib import Path
from typing import Annotated

import typer

from models.recipes.folds import FOLDS, REFERENCES
from models.recipes.labelled import options as labelled_options
from models.recipes.tabular import options as tabular_options
from vfx_edge.errors import VfxError
from vfx_edge.vocabulary import NEEDED_ROLES, ROLES, ROW_ROLES

app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)
Data = Annotated[
    Path,
    typer.Option(
        help="folder with the training data (see sources.py)", exists=True, file_okay=False
    ),
]
Work = Annotated[Path, typer.Option(help="folder for cases and checkpoints")]
Fold = Annotated[str | None, typer.Option(help=f"without the CTs of a fold: {', '.join(FOLDS)}")]
ROOT = Path(__file__).parents[2]
SPINE_ROLES = ("segmenter", "finder", "locator", "labeller")
SLIM = "slim"
"""A segmenter that learns from the one of that name."""
# Masks made by a network carry its habits: outlines are learnt more from those known to be true.
REAL_SHARE = {"segmenter": 0.5, "slim": 0.5, "labeller": 0.7}
EXPERT_SHARE = {"segmenter": 0.6, "slim": 0.6}


def _home(work: Path, fold: str | None, synthetic: bool = False) -> Path:
    """Where the checkpoints of a kind of training live."""
    if fold is not None and fold not in FOLDS:
        raise typer.BadParameter(f"no fold '{fold}': use one of {', '.join(FOLDS)}")
    return work / "base" if synthetic else work / "folds" / fold if fold else work


def _left_out(fold: str | None) -> tuple[str, ...]:
    return FOLDS[fold] if fold else ()


@app.command()
def prepare(
    data: Data,
    work: Work,
    phantoms: int = 50,
    broken: int = 120,
    composites: int = 60,
    copies: int = 3,
    crops: int = 160,
) -> None:
    """Masked CT, painted shapes, phantoms, composites and fracture crops as cases on disk."""
    from models.recipes import classifier, generator, sources, synthetic
    from models.recipes.cases import save, write_missing

    folder = work / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    for labelled in sources.masked_ct(data):
        save(folder / f"real_{labelled.case.name}.npz", labelled)
    (work / "named").mkdir(exist_ok=True)
    for labelled in sources.named_ct(data, REFERENCES):
        save(work / "named" / f"real_{labelled.case.name}.npz", labelled)
    for labelled in sources.painted_shapes(data, copies, seed=0):
        save(folder / f"paint_{labelled.case.name}.npz", labelled)
    write_missing(folder, "phantom", range(1000, 1000 + phantoms), synthetic.random_case)
    for path in folder.glob("phantom_*.npz"):  # the labeller's, too: their ribs are where they say
        shutil.copy2(path, work / "named" / path.name)
    write_missing(work / "broken", "broken", range(3000, 3000 + broken), synthetic.broken_case)
    bank = generator.load_bank(data / "shapes", without=sources.VERSE)  # of no CT that is scored
    generator.write_composites(folder, range(5000, 5000 + composites), bank)
    classifier.write_crops(work / "crops", range(crops))


@app.command()
def add(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False)],
    work: Work,
    model: Annotated[
        str | None, typer.Option(help="model set that labels CT without masks (self-training)")
    ] = None,
) -> None:
    """CT of your own as training cases: with masks in VerSe's layout, or alone with --model."""
    from models.recipes import labelled_folders
    from models.recipes.cases import save

    folders = [work / "cases", work / "named"]  # the labeller draws from the second
    for kept in folders:
        kept.mkdir(parents=True, exist_ok=True)
    if model is not None:
        found = labelled_folders.from_model(folder, model)
    else:
        pairs = labelled_folders.verse_pairs(folder)
        found = (labelled_folders.from_masks(*pair) for pair in pairs)
    count = 0
    for labelled in found:
        for kept in folders:
            save(kept / f"real_{labelled.case.name}.npz", labelled)
        typer.echo(f"{labelled.case.name}: {len(labelled.centres)} vertebrae")
        count += 1
    if not count:
        raise typer.BadParameter(f"nothing to train on in {folder}: see --help")


@app.command()
def pseudo(data: Data, work: Work, fold: Fold = None) -> None:
    """Masks for the CT that only has centres, by the segmenter so far (or by the base one)."""
    from models.recipes import sources
    from models.recipes.cases import save

    home = _home(work, fold)
    known = [home / "segmenter.pt", work / "base" / "segmenter.pt"]
    if (checkpoint := next((path for path in known if path.exists()), None)) is None:
        raise typer.BadParameter(f"no segmenter in {work}: train one with --synthetic first")
    (home / "cases").mkdir(parents=True, exist_ok=True)
    for labelled in sources.annotated_ct(data, REFERENCES, checkpoint, _left_out(fold)):
        save(home / "cases" / f"real_{labelled.case.name}.npz", labelled)
        typer.echo(f"{labelled.case.name}: {len(labelled.centres)} vertebrae kept")


def _check_role(role: str, labelled: Path | None) -> None:
    if role in ROW_ROLES:
        raise typer.BadParameter(f"a {role} is made by: python -m models.recipes {role}")
    if role not in (*ROLES, SLIM):
        raise typer.BadParameter(f"no network '{role}': use one of {', '.join((*ROLES, SLIM))}")
    if role == "detector" or (labelled and role == "classifier"):
        raise typer.BadParameter(
            f"labelled vertebrae train a {role} by another command: "
            f"python -m models.recipes classifier --role {role} --labelled {labelled or 'DATASET'}"
        )


def _teacher(role: str, *homes: Path) -> Path | None:
    """The segmenter that a slim one learns from."""
    if role != SLIM:
        return None
    if found := next(
        (home / "segmenter.pt" for home in homes if (home / "segmenter.pt").exists()), None
    ):
        return found
    raise typer.BadParameter(
        f"no segmenter in {homes[0]}: train it first, or take one by `teacher`"
    )


@app.command()
def teacher(
    onnx: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    work: Work,
    fold: Fold = None,
) -> None:
    """A published larger segmenter as the checkpoint that `train slim` learns from."""
    import torch

    from models.recipes import slim

    home = _home(work, fold)
    home.mkdir(parents=True, exist_ok=True)
    torch.save(slim.taught_by(onnx).state_dict(), home / "segmenter.pt")


@app.command()
def train(
    role: Annotated[str, typer.Argument(help=", ".join((*NEEDED_ROLES, SLIM)))],
    work: Work,
    minutes: float = 30,
    synthetic: Annotated[bool, typer.Option(help="the base: no real CT at all")] = False,
    fold: Fold = None,
    again: Annotated[bool, typer.Option(help="a new schedule from the weights so far")] = False,
    labelled: Annotated[
        Path | None,
        typer.Option(
            help="folder in VerSe's layout whose CTs are trained on too; labelled fractures are "
            "for `classifier --labelled`"
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda")] = "auto",
    workers: Annotated[int, typer.Option(help="processes that draw examples")] = 0,
    threads: int = 1,
    seed: int = 1,
) -> None:
    """Train one network; go on where an interrupted training stopped.

    Begins from the base, if there is one (`--synthetic` makes it).
    """
    import torch

    from models.recipes import training
    from models.recipes.train import Schedule, best_device

    _check_role(role, labelled)
    if synthetic and fold:
        raise typer.BadParameter("the base has no real CT to leave out: --synthetic or --fold")
    if not 0 < minutes < math.inf:
        raise typer.BadParameter("--minutes must be more than 0")
    if device.split(":")[0] not in ("auto", "cpu", "cuda"):
        raise typer.BadParameter(f"no device '{device}': use auto, cpu or cuda")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise typer.BadParameter("no CUDA device is available: use --device cpu")
    if labelled:
        add(labelled, work)
    torch.set_num_threads(threads)
    home = _home(work, fold, synthetic)
    out = home / f"{role}.pt"
    if again:
        out.with_suffix(".state").unlink(missing_ok=True)
    mix = training.Mix(
        training.folders(role, work, home),
        _left_out(fold),
        real_share=0.0 if synthetic else REAL_SHARE.get(role, 0.6),
        expert_share=EXPERT_SHARE.get(role, 0.0),
        seed=seed,
        teacher=_teacher(role, home, work),
    )
    if not any(path for folder in mix.folders for path in folder.glob("*.npz")):
        raise typer.BadParameter(f"nothing to train on in {work}: run prepare first")
    start = training.first_of(role, out, home, None if synthetic else work / "base")
    training.train(
        role, out, mix, Schedule(minutes, device=best_device(device), workers=workers), start
    )


@app.command()
def score(work: Work, model: str = "default", data: Path | None = None) -> None:
    """A set's classifier on held-out phantoms: synthetic fractures only, no estimate for patients.

    With --data also what it makes of real vertebrae. Attacks by its gradient are in it where
    work/classifier.pt is what the set was published from.
    """
    import json

    from models.recipes import classifier

    checkpoint = work / "classifier.pt"
    found = classifier.classifier_report(
        model, work / "crops", checkpoint if checkpoint.exists() else None, data
    )
    typer.echo(json.dumps(found, indent=1))


@app.command()
def naming(
    data: Data,
    folds: Annotated[Path, typer.Option(help="model sets that left CTs out, and their folds.json")],
    cuts: Annotated[int, typer.Option(help="random cuts of each CT", min=1)] = 60,
    backend: str = "auto",
) -> None:
    """What the labeller's looks count for, from sets that left CTs out: for the manifest."""
    from models.recipes.naming import read_glimpses, report

    typer.echo(report(read_glimpses(data, folds, cuts, backend)))


@app.command()
def publish(work: Work, fold: Fold = None, out: Path | None = None) -> None:
    """ONNX files and hashes of a model set from the checkpoints that are there.

    The shipped set, or with --fold a whole set in work/folds/<fold>/set.
    """
    from models.recipes import publish as write

    homes = [_home(work, name) for name in (fold, *(write.sharing(fold) if fold else ()))]
    ready = sorted({role for home in homes for role in write.trained(home)})
    if not ready:
        raise typer.BadParameter(f"no checkpoint in {homes[0]}: train a network first")
    typer.echo(f"from checkpoints: {', '.join(ready)}; the others stay as they are")
    out = out or (homes[0] / "set" if fold else ROOT / "models" / "default")
    write.publish_set(homes, out, ROOT / "models" / "default")
    if fold:
        write.note_folds(work / "folds")


app.command()(labelled_options.classifier)
app.command()(labelled_options.compare)
app.command()(tabular_options.tabular)
app.command()(tabular_options.fusion)


if __name__ == "__main__":
    try:
        app()
    except VfxError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(error.exit_code) from error
