"""`export network`: any network that PyTorch saved whole, with a manifest that says what it is."""

import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from export import by_manifest, options
from export.by_manifest import Made, Misfit, Steps, by
from vfx_edge.backends.errors import one_line

if TYPE_CHECKING:
    import torch

    from export.programs import Program
    from export.template import Facts
    from vfx_edge.manifest import NetworkSpec

NAME = "network"
SECONDS = 600.0
"""Until a network has to have answered."""
EXAMPLES = """\b
Examples:
  python -m export network net.pt2 --template mine.toml --role classifier    then fill it in
  python -m export network net.pt2 --manifest mine.toml -o models/mine
  python -m export network scripted.pt --manifest mine.toml -o models/mine
"""


def command(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A .pt2 file of torch.export.save, or a module of torch.jit.save.",
            readable=False,
        ),
    ],
    out: by_manifest.Out = None,
    manifest: by_manifest.Manifest = None,
    template: by_manifest.Template = None,
    role: by_manifest.Role = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Make a model set of any network that PyTorch saved whole.

    First with --template, which writes a manifest to fill in; then with --manifest and -o. A file
    that would execute code, or do more than arithmetic, is refused.
    """
    steps = Steps(file, out, manifest, template, role, overwrite)
    by_manifest.take(NAME, steps, lambda: _facts(file), lambda spec: _made(file, spec))


def _facts(file: Path) -> "Facts":
    from export.programs import open_program
    from export.template import Facts

    program = open_program(file)
    batch, channels, *patch = program.input_shape or (None,) * 5
    slices = len(patch) == 2
    answer = _answer_shape(program, (batch or 2, channels, *patch))
    return Facts(
        channels=channels,
        batch=batch,
        patch=(*(None,) * slices, *patch, None, None, None)[:3],
        slices=slices,
        classes=answer[1] if answer else None,
        voxelwise=len(answer) == 5 if answer else None,
    )


def _answer_shape(program: "Program", shape: "tuple[int | None, ...]") -> tuple[int, ...]:
    """Of what the network answers to a batch of this shape, asked once; empty where the file does
    not say the shape, or nothing usable comes: the export says why."""
    import torch

    sizes = tuple(n for n in shape if n is not None)
    if len(sizes) != len(shape):
        return ()
    try:
        answer = _asked(program, torch.zeros(sizes))
    except Misfit:
        return ()
    usable = isinstance(answer, torch.Tensor) and answer.ndim in (2, 5)
    return tuple(answer.shape) if usable else ()


def _made(file: Path, spec: "NetworkSpec") -> Made:
    from export.programs import open_program

    return made(open_program(file), spec)


def made(program: "Program", spec: "NetworkSpec") -> Made:
    """The program in ONNX, compared with itself at two sizes of batches and of values."""
    from export.to_onnx import compare

    example = _checked_example(program, spec)
    onnx = program.to_onnx(example, spec.input.name, spec.output.name)
    compare(program.ask, onnx, example, program.path.name)
    if program.input_shape is None or program.input_shape[0] is None:
        compare(program.ask, onnx, 3 * example[:1] + 1, program.path.name)
    return Made(onnx)


def _checked_example(program: "Program", spec: "NetworkSpec") -> "torch.Tensor":
    """A batch that the network was seen to take and to answer as the manifest says; or Misfit."""
    import torch

    wanted = spec.shape(1)[1:]
    batch, *rest = program.input_shape or (None,)
    for have, want in zip(rest, wanted, strict=False):
        if have is not None and have != want:
            raise Misfit(program.path, f"it takes {by(rest)}, the manifest says {by(wanted)}")
    one_by_one = batch is None and spec.batch.max == 1
    size = (1 if one_by_one else batch or max(2, spec.batch.min), *wanted)
    example = torch.randn(size, generator=torch.Generator().manual_seed(0))
    answer = _asked(program, example)
    if not isinstance(answer, torch.Tensor):
        raise Misfit(program.path, f"it answers a {type(answer).__name__}, not one tensor")
    classes, patch = len(spec.output.classes), tuple(spec.input.patch_zyx)
    if tuple(answer.shape) not in ((size[0], classes), (size[0], classes, *patch)):
        shapes = f"it answers {by(tuple(answer.shape))} to {by(size)}"
        raise Misfit(program.path, f"{shapes}, the manifest names {classes} classes")
    return example


def _asked(program: "Program", example: "torch.Tensor") -> Any:
    """The answer to a batch; Misfit where the network does not take it, or never ends: a script may
    hold a loop without end. Such a thread is left behind, and ends with the process."""
    import torch

    answer: Future[Any] = Future()

    def ask() -> None:
        try:
            with torch.no_grad():
                answer.set_result(program.ask(example))
        except Exception as error:  # noqa: BLE001  `result` raises it again
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.result(SECONDS)
    except TimeoutError as error:
        what = f"it gave no answer within {SECONDS / 60:.0f} minutes"
        raise Misfit(program.path, what) from error
    except (RuntimeError, ValueError, TypeError, AssertionError, torch.jit.Error) as error:
        what = f"it does not take {by(tuple(example.shape))}: {one_line(error)}"
        raise Misfit(program.path, what) from error
