"""Studies of a few bytes, and a worker process that does what they say.

`python -m tests.scoring.played_studies` is the worker: each study's file says how it is to end.
"""

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from tests.waiting import HANG_S
from vfx_edge.bench.protocol import Order, Parent, serve
from vfx_edge.errors import BackendError, InputError
from vfx_edge.labelled.dataset import Dataset, Label, LabelledStudy, Row, Split
from vfx_edge.scoring.answers import Answer, Seen, Task
from vfx_edge.scoring.run import Source, Wanted
from vfx_edge.scoring.worker import answer_all
from vfx_edge.study import Level

MODULE = "tests.scoring.played_studies"
PATIENT = "Doe^Jane"
MOVED: list[bool] = []
"""In the worker: whether its networks went on on another backend."""


class Refused(InputError):
    """As the chain refuses a study; the file's name is the patient's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} holds no CT: send another study.")
        self.names = (name,)


class Lost(BackendError):
    """As a backend fails in the midst of a study."""

    def __init__(self) -> None:
        super().__init__("The backend failed: try another.")


def dataset(folder: Path, studies: Mapping[str, str]) -> Dataset:
    """Study's name -> what its file says; one labelled vertebra each."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number, (name, words) in enumerate(studies.items()):
        path = folder / f"{number}.txt"
        if not path.exists():
            path.write_text(words, encoding="utf-8")
        row = Row(number + 2, name, f"p{number}", Level.L1, Label.MALIGNANT, Split.TEST)
        found.append(LabelledStudy(name, f"p{number}", path, Split.TEST, (row,)))
    return Dataset(folder, tuple(found))


def wanted(data: Dataset, out: Path, **more: object) -> Wanted:
    """An evaluation of the shipped set, of which nothing is opened."""
    settings: dict[str, object] = {"models": (Source("", "default"),), "module": MODULE, **more}
    return Wanted(data, out, **settings)  # type: ignore[arg-type]


def asked(data: Dataset) -> list[int]:
    """How often each study was asked."""
    files = [study.path.with_suffix(".asked") for study in data.studies]
    return [file.stat().st_size if file.exists() else 0 for file in files]


def _answer(task: Task) -> Answer:
    with task.path.with_suffix(".asked").open("ab") as stream:
        stream.write(b"x")
    task.path.with_suffix(".pid").write_text(str(os.getpid()))
    match task.path.read_text(encoding="utf-8"):
        case "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hangs":
            time.sleep(HANG_S)
        case "has a bug":
            raise ValueError(PATIENT)
        case "is refused":
            raise Refused(PATIENT)
        case "loses the backend":
            raise Lost
        case "names its file":
            name = task.path.name
            raise InputError(f"{task.path} is damaged: send {name} anew.")
        case "goes on elsewhere":
            MOVED.append(True)
        case "says inf":
            return Answer((Seen("L1", height_loss=float("inf")),), (), "")
    return Answer((Seen("L1", p_malignant=0.9, p_osteoporotic=0.1, tier="malignant"),), (), "")


def _work(order: Order, parent: Parent) -> None:
    answer_all(parent, _answer, lambda: bool(MOVED))


if __name__ == "__main__":
    serve(_work)
