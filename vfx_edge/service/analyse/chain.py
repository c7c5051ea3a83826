"""What analyses a study, and how an analysis ends without results."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from vfx_edge.errors import OutputError
from vfx_edge.fracture_task import Options, roles
from vfx_edge.inputs.source import NoDicomSource, SourceLacks
from vfx_edge.job import Job, run_job
from vfx_edge.outputs.dicom.write import DicomRefused
from vfx_edge.outputs.kinds import dicom_kinds
from vfx_edge.study import BackendRequest
from vfx_edge.tasks import DEFAULT

if TYPE_CHECKING:
    from vfx_edge.backends import OpenModels
    from vfx_edge.manifest import Demand

Chain = Callable[[Job], object]
"""From a study's path to the files in `Job.out`; raises VfxError, OSError or one of the below.
`BEGIN_ANEW`: in a process that has begun anew the next study may fare better."""
BEGIN_ANEW = "begin anew"


class AnalysisDied(Exception):
    """The analysing process died of this study, or did not come to an end; the message says how."""


class AnalysisInterrupted(Exception):
    """The analysing process was ended from outside: the study has no part in it."""


class AnalysisLackedMemory(Exception):
    """The memory was not enough, which it may be when no other study is analysed beside this one.
    `error`: how the analysis ends where that is no help."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class AnalysisBug(Exception):
    """A bug in the analysing process. `where`: the error's name and a line of the program."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.where = where


class KindsRefused(OutputError):
    """Results of these kinds can't be made of this study; others can."""

    def __init__(self, kinds: tuple[str, ...], sentence: str) -> None:
        super().__init__(sentence)
        self.kinds = kinds


def refused_kinds(error: Exception) -> tuple[str, ...]:
    """The kinds of results that this error speaks of; () where it is about the whole study."""
    if isinstance(error, KindsRefused):
        return error.kinds
    if isinstance(error, DicomRefused):
        return (error.kind,)
    return dicom_kinds() if isinstance(error, (NoDicomSource, SourceLacks)) else ()


class OpenChain:
    """The real chain, with its networks open. options: of every job. ModelError, BackendError."""

    def __init__(
        self,
        request: BackendRequest,
        model: str,
        demand: "Demand",
        options: Options | None = None,
    ) -> None:
        from vfx_edge.backends import open_models
        from vfx_edge.manifest import load_model_set

        manifest = load_model_set(model, demand)
        self._options = options or Options()
        asked = roles(manifest, self._options)
        self._models: OpenModels = open_models(manifest, request, roles=asked)

    def __call__(self, job: Job) -> object:
        if job.task == DEFAULT:
            job = replace(job, options=self._options)
        run_job(job, self._models)
        # What this process lost of a card stays lost to it; the next one may find the card again.
        return BEGIN_ANEW if self._models.backend.failed else None
