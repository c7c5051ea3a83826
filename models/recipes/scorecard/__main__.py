"""The scorecard of a model set, by one command.

python -m models.recipes.scorecard --data ../shared/data --model models/default
    --folds build/recipes/folds --out build/scorecard --write

Real CT are scored by sets that were trained without them, phantoms by the set itself.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from models.recipes.scorecard import about, parts, render
from models.recipes.scorecard.chain import read_folds
from models.recipes.scorecard.classifier_part import score_classifier
from models.recipes.scorecard.diagram import DIAGRAM, draw_reliability
from models.recipes.scorecard.masks import score_masks
from models.recipes.scorecard.names import score_names
from models.recipes.scorecard.phantoms import score_phantoms
from models.recipes.scorecard.real import score_real

DEFAULT = parts.ROOT / "models" / "default"
Data = Annotated[Path, typer.Option(help="folder with the CTs", exists=True, file_okay=False)]
Model = Annotated[Path, typer.Option(help="the model set that ships", exists=True)]
Folds = Annotated[
    Path | None,
    typer.Option(
        help="model sets that left CTs out, and their folds.json", exists=True, file_okay=False
    ),
]
Work = Annotated[
    Path, typer.Option(help="folder of the training: its held-out crops, the classifier's weights")
]
Out = Annotated[Path, typer.Option(help="figures and scorecard are written here")]
Only = Annotated[
    str | None, typer.Option(help=f"score only these, by comma: {', '.join(parts.PARTS)}; '' none")
]
Phantoms = Annotated[int, typer.Option(help="phantoms for each condition", min=1)]
Cuts = Annotated[int, typer.Option(help="random cuts of each CT, to name what they show", min=1)]
Chained = Annotated[int, typer.Option(help="random cuts of each CT for the whole chain", min=1)]
Backend = Annotated[str, typer.Option(help="what runs the networks")]
Write = Annotated[
    bool, typer.Option("--write", help="write it into the card and, for the default set, README")
]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def scorecard(
    data: Data,
    model: Model = DEFAULT,
    folds: Folds = None,
    work: Work = Path("build/recipes"),
    out: Out = Path("build/scorecard"),
    only: Only = None,
    phantoms: Phantoms = 3,
    cuts: Cuts = 200,
    chained: Chained = 20,
    backend: Backend = "auto",
    write: Write = False,
) -> None:
    """Score a model set and write scorecard.json and scorecard.md; other parts are kept."""
    wanted = parts.PARTS if only is None else tuple(filter(None, only.split(",")))
    if unknown := set(wanted) - set(parts.PARTS):
        raise typer.BadParameter(f"no part {', '.join(unknown)}: use {', '.join(parts.PARTS)}")
    out.mkdir(parents=True, exist_ok=True)
    sets = read_folds(folds)
    scorers: dict[str, Callable[[], Any]] = {
        "real": lambda: score_real(data, model, sets, backend, _say),
        "names": lambda: score_names(data, model, sets, backend, _say, cuts, chained),
        "masks": lambda: score_masks(data, model, sets, backend, _say),
        "phantoms": lambda: score_phantoms(model, data / "shapes", phantoms, backend, _say),
        "classifier": lambda: score_classifier(model, work, backend),
    }
    for part in wanted:
        _say(f"{part} …")
        weights = parts.fingerprint(part, model, sets)
        parts.keep(part, scorers[part](), weights, out)
    card = {"set": about.about_set(model), "machine": about.about_machine(model, backend)}
    for part in parts.PARTS:
        figures, warning = parts.kept(part, parts.fingerprint(part, model, sets), out)
        if warning:
            _say(warning)
        if figures is not None:
            card[part] = figures
    if write:
        card = _with_earlier(card, model)
    if write and (missing := [part for part in parts.PARTS if part not in card]):
        raise typer.BadParameter(
            f"not scored: {', '.join(missing)}; the documents stay as they are"
        )
    _write_all(parts.rounded(card), out, model if write else None)


def _with_earlier(card: dict[str, Any], model: Path) -> dict[str, Any]:
    """With the parts of the card that stands which were not scored anew, and of what they are: some
    take trainings to score again."""
    path = model / "scorecard.json"
    if not path.exists():
        return card
    old = json.loads(path.read_text(encoding="utf-8"))
    of = {"date": old["machine"]["date"], "sha256": old["set"]["sha256"]}
    kept = [part for part in parts.PARTS if part in old and part not in card]
    older = {part: old.get("older", {}).get(part, of) for part in kept}
    return {**card, **{part: old[part] for part in kept}, "older": older}


def _write_all(card: dict[str, Any], out: Path, model: Path | None) -> None:
    """scorecard.json and scorecard.md; the documents of `model` as well, if there is one."""
    text = json.dumps(card, indent=1) + "\n"
    (out / "scorecard.json").write_text(text, encoding="utf-8")
    (out / "scorecard.md").write_text(render.full(card), encoding="utf-8")
    typer.echo(render.full(card))
    if model is None:
        return
    (model / "scorecard.json").write_text(text, encoding="utf-8")
    _replace(model / "card.md", "scorecard", render.full(card))
    if model.resolve() == DEFAULT:
        draw_reliability(card["names"]["total"]["bins"], parts.ROOT / DIAGRAM)
        _replace(parts.ROOT / "README.md", "scorecard-short", render.short(card))


def _replace(path: Path, name: str, new: str) -> None:
    path.write_text(render.replaced(path.read_text(encoding="utf-8"), name, new), encoding="utf-8")
    _say(f"wrote into {path.name}")


_BEGAN = time.perf_counter()


def _say(line: str) -> None:
    typer.echo(f"{time.perf_counter() - _BEGAN:5.0f} s  {line}", err=True)


if __name__ == "__main__":
    app()
