"""How the shipped weights were made: one command a step, each resumable.

python -m models.recipes prepare --data ../shared/data --work build/recipes
python -m models.recipes train segmenter --work build/recipes --minutes 26
python -m models.recipes pseudo --data ../shared/data --work build/recipes
python -m models.recipes train locator|finder|labeller|segmenter|classifier --work build/recipes
python -m models.recipes score --work build/recipes
python -m models.recipes publish --work build/recipes
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

app = typer.Typer(help=__doc__, add_completion=False, pretty_exceptions_enable=False)
Data = Annotated[Path, typer.Option(help="folder with the training data")]
Work = Annotated[Path, typer.Option(help="folder for cases and checkpoints")]
REFERENCES = Path(__file__).parents[2] / "tests" / "data" / "reference_centroids.json"
ROLES = ("locator", "finder", "labeller", "segmenter", "classifier")


@app.command()
def prepare(data: Data, work: Work, phantoms: int = 50, copies: int = 3, crops: int = 70) -> None:
    """Masked CT, painted shapes, phantoms and fracture crops as cases on disk."""
    from models.recipes import classifier, sources, synthetic
    from models.recipes.cases import save

    folder = work / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    for labelled in sources.masked_ct(data):
        save(folder / f"real_{labelled.case.name}.npz", labelled)
    for labelled in sources.painted_shapes(data, copies, seed=0):
        save(folder / f"paint_{labelled.case.name}.npz", labelled)
    synthetic.write_phantoms(folder, range(1000, 1000 + phantoms))
    classifier.write_crops(work / "crops", range(crops))


@app.command()
def pseudo(data: Data, work: Work) -> None:
    """Masks for the CT that only has centres, by the segmenter so far."""
    from models.recipes import sources
    from models.recipes.cases import save

    for labelled in sources.annotated_ct(data, REFERENCES, work / "segmenter.pt"):
        save(work / "cases" / f"real_{labelled.case.name}.npz", labelled)


@app.command()
def train(role: str, work: Work, minutes: float = 45, threads: int = 1, seed: int = 1) -> None:
    """Train one network for `minutes`, going on from its checkpoint if there is one."""
    import torch

    from models.recipes import training

    if role not in ROLES:
        raise typer.BadParameter(f"no network '{role}': use one of {', '.join(ROLES)}")
    torch.set_num_threads(threads)
    training.train(role, work, minutes, np.random.default_rng(seed))


@app.command()
def score(work: Work) -> None:
    """The classifier on held-out phantoms: synthetic fractures only, no estimate for patients."""
    from models.recipes import training

    checkpoint = work / "classifier.pt"
    temperature = training.fitted_temperature(checkpoint, work / "crops")
    typer.echo(f"temperature {temperature:.2f}")
    for name, value in training.classifier_scores(checkpoint, work / "crops", temperature).items():
        typer.echo(f"{name} {value:.3f}")


@app.command()
def publish(
    work: Work, out: Path = Path(__file__).parents[1] / "default", temperature: float | None = None
) -> None:
    """ONNX files and hashes of the shipped set from the checkpoints that are there.

    Without `temperature` the classifier's is fitted on the held-out phantoms.
    """
    from models.recipes import publish as write
    from models.recipes import training
    from vfx_edge.manifest import update_hashes

    writers = {
        "locator": write.publish_locator,
        "finder": write.publish_finder,
        "labeller": write.publish_labeller,
        "segmenter": write.publish_segmenter,
    }
    for role, writer in writers.items():
        if (work / f"{role}.pt").exists():
            writer(work / f"{role}.pt", out)
    if (checkpoint := work / "classifier.pt").exists():
        fitted = temperature or training.fitted_temperature(checkpoint, work / "crops")
        write.publish_classifier(checkpoint, out, fitted)
        typer.echo(f"classifier temperature {fitted:.2f}")
    update_hashes(out / "manifest.toml")


if __name__ == "__main__":
    app()
