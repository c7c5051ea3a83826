"""What a notebook or a program of others calls: `vfx_edge.analyze`."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from vfx_edge.fracture_task import Options, OptionsInvalid
from vfx_edge.job import Job, answer_alone, run_alone
from vfx_edge.outputs.kinds import RESULT, chosen
from vfx_edge.study import Analysis, BackendRequest, OnStage


def analyze(
    path: str | PathLike[str],
    options: Options | None = None,
    *,
    out: str | PathLike[str] | None = None,
    outputs: str | Sequence[str] = ("json", "html"),
    series: str | None = None,
    backend: str = "auto",
    device: int = 0,
    gpu_memory_gib: float | None = None,
    precision: str = "auto",
    model: str = "default",
    language: str = "en",
    on_stage: OnStage | None = None,
) -> Analysis:
    """The triage of the vertebral fractures in one CT, as `vfx-edge run` does it.

    path: a folder of DICOM, an enhanced file, a .zip of either, or a NIfTI file. out: the folder
    that `outputs`, also as "json,html", are written to; None: nothing is written. The other
    arguments are the command's options. on_stage: called with each stage's name when it begins.

    Raises VfxError leaves, each with a sentence that ends in what to do.
    """
    if options is not None and not isinstance(options, Options):
        raise OptionsInvalid("options", "give vfx_edge.Options(...)")
    names = outputs.split(",") if isinstance(outputs, str) else outputs
    kinds = chosen(name.strip().lower() for name in names)
    folder = None if out is None else Path(out)
    if folder is None:  # not even prepared for
        kinds = (RESULT,)
    job = Job(Path(path), folder, series, options=options, kinds=kinds, language=language)
    request = BackendRequest.of(backend, precision.lower(), device, gpu_memory_gib)
    if folder is None:
        answer = answer_alone(job, request, model, on_stage)
    else:
        answer = run_alone(job, request, model, on_stage).answer
    assert isinstance(answer, Analysis), "the default task triages fractures"
    return answer
