"""`vfx-edge models`: which model sets are there, what they are, whether their files are whole."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vfx_edge.cli.show import tell
from vfx_edge.errors import ModelError, VfxError
from vfx_edge.vocabulary import SERVED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vfx_edge.backends import Backend
    from vfx_edge.manifest import CalibrationSpec, ModelManifest, NetworkSpec, SlicesSpec

app = typer.Typer(help="List, show or verify the installed model sets.")

Name = Annotated[str, typer.Argument(metavar="NAME_OR_DIR", help="A model set's name or folder.")]


@app.command("list")
def list_sets() -> None:
    """List the installed model sets."""
    from vfx_edge.manifest import installed_sets, load_model_set

    for folder in installed_sets():
        try:
            _print(_line(load_model_set(folder)))
        except ModelError as error:
            tell(f"{folder.name}: {error}")


@app.command("show")
def show(name: Name = "default") -> None:
    """Show a model set's networks, training data and card."""
    from vfx_edge.manifest import load_model_set

    manifest = load_model_set(name)
    _print(_line(manifest))
    _print(f"folder         {manifest.directory}")
    _print(f"digest         {manifest.digest}")
    _print(f"licence        {manifest.licence}")
    _print(f"training data  {manifest.training_data}")
    _print(f"suspected from {manifest.height_loss_suspected:.0%} height loss")
    for spec in manifest.networks:
        _print(f"{', '.join(spec.roles)}: {spec.name}")
        for path, digest in spec.signed_files:
            _print(f"  {path.name}  sha256 {digest}")
        _print(f"  input {_input(spec)}, precision {' or '.join(spec.precision.allowed)}")
        if spec.slices is not None:
            _print(f"  slices {_slices(spec.slices)}")
        if spec.class_words:
            _print(f"  classes {spec.class_words}")
        if spec.calibration is not None:
            _print(f"  calibration {_calibration(spec.calibration)}")
    if manifest.card.is_file():
        print()
        _print(manifest.card.read_text(encoding="utf-8", errors="replace").rstrip())


def _input(spec: "NetworkSpec") -> str:
    if spec.of_a_row:
        return f"{spec.input.channels} features"
    patch = "x".join(map(str, spec.input.patch_zyx))
    mm = spec.input.spacing_zyx_mm
    spacing = " x ".join(f"{one:g}" for one in (mm if len(set(mm)) > 1 else mm[:1]))
    return f"{patch} at {spacing} mm"


@app.command("verify")
def verify(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME_OR_DIR", help="Only this set.", show_default="all"),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(
            "--public-key",
            metavar="FILE",
            help="The set must be signed by this public key of minisign.",
            show_default=False,
            readable=False,
        ),
    ] = None,
    hashes_only: Annotated[
        bool, typer.Option("--hashes-only", help="Compare the files; ask no network.")
    ] = False,
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL|FILE",
            help="Ask this server of --backend kserve, too: it must answer as this machine does.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Prove that each network is whole and answers here, and print each set's digest.

    Each file is compared with its hash, and with what the manifest says of it; then each backend
    that can run here is asked about noise, which takes seconds, and minutes where TensorRT has to
    build its engines first. The digest stands for the manifest and all files that it names:
    `vfx-edge run --model-digest` demands it. Ends with exit code 4 when a file is not the one that
    its manifest means, no backend answers as it has to or no network fills a role, or when the set
    is not signed as asked.
    """
    from vfx_edge.manifest import Demand, RoleMissing, installed_sets, load_model_set

    sets: tuple[str | Path, ...] = (name,) if name else installed_sets()
    wrong: list[VfxError] = []
    asked = None if server is None else _with(server)
    for one in sets:
        try:
            manifest = load_model_set(one, Demand(key=public_key))
        except ModelError as error:
            wrong.append(error)
            continue
        problems = [problem for spec in manifest.networks for problem in _compare(spec)]
        if not problems and not hashes_only:
            problems = [problem for spec in manifest.networks for problem in _prove(spec, asked)]
            for role in manifest.lacking[:1]:
                problems.append(RoleMissing(manifest.name, role, manifest.roles))
        wrong += problems
        if not problems:
            signed = f", signed by {public_key}" if public_key else ""
            _print(f"{manifest.name:<16} digest {manifest.digest}{signed}")
    if wrong:
        raise wrong[0]


def _compare(spec: "NetworkSpec") -> list[VfxError]:
    """One line for each file; the errors of those that are not whole."""
    wrong: list[VfxError] = []
    for key, path in spec.paths.items():
        state = "ok"
        try:
            spec.read_all((key,))
        except ModelError as error:
            wrong.append(error)
            state = "NOT WHOLE"
        _say(spec, path, state)
    if spec.class_words:
        _say(spec, spec.path, f"classes {spec.class_words}")
    return wrong


def _with(server: str) -> "Mapping[str, Backend]":
    from vfx_edge.backends.choose import with_server

    return with_server(server)


def _prove(spec: "NetworkSpec", asked: "Mapping[str, Backend] | None") -> list[VfxError]:
    """A line of what answered, and one for each backend that refuses; the error if none answers,
    or a server that was named does not. asked: None: every backend of this machine."""
    from vfx_edge.backends.errors import reason_of
    from vfx_edge.backends.proof import prove, refusals

    try:
        refused = refusals(spec, proofs := prove(spec, backends=asked))
    except VfxError as error:
        _say(spec, spec.path, "REFUSED")
        return [error]
    answered = [f"in {p.precision} on {p.backend}" for p in proofs if p.problem is None]
    _say(spec, spec.path, f"ok, answered {', '.join(answered)}")
    for proof in refused:
        _say(spec, spec.path, f"refused by {proof.backend}: {reason_of(proof.problem)}")
    return [proof.problem for proof in refused if proof.backend in SERVED and proof.problem]


def _print(words: str) -> None:
    """As it stands, but for a terminal's commands, which a stranger's set may hold."""
    print("".join(c if c.isprintable() or c in "\n\t" else " " for c in words))


def _say(spec: "NetworkSpec", path: Path, words: str) -> None:
    _print(f"{spec.set_name:<16} {path.name:<28} {words}")


def _calibration(made: "CalibrationSpec") -> str:
    words = f"{made.name}, {made.made}: {made.cases} fractures, {made.malignant} malignant"
    words += f"; wanted: {made.wanted}; temperature {made.temperature:g}"
    return words if made.coverage is None else f"{words}; coverage {made.coverage:.0%}"


def _slices(slices: "SlicesSpec") -> str:
    return (
        f"{slices.triplets} triplets, {slices.step_mm:g} mm apart, of slices "
        f"{slices.distance_mm:g} mm apart; {slices.average} of their answers"
    )


def _line(manifest: "ModelManifest") -> str:
    return f"{manifest.name} {manifest.version} ({manifest.intended_use}): {manifest.summary}"
