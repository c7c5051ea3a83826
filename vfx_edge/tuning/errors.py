"""What an evaluation can lack that a model set is to be calibrated by."""

from collections.abc import Sequence
from pathlib import Path

from vfx_edge.errors import InputError, ModelError


class EvaluationUnreadable(InputError):
    """The folder holds no evaluation, or not a whole one."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(
            f"{folder} can't be used as an evaluation ({why}): name the folder that "
            "`vfx-edge evaluate` wrote"
        )


class ModelNotNamed(InputError):
    """The evaluation is of several model sets, or not of the one that was named."""

    def __init__(self, name: str | None, known: Sequence[str]) -> None:
        what = f"no model set '{name}'" if name else "several model sets"
        super().__init__(
            f"the evaluation holds {what}: name one with --model, of {', '.join(known) or 'none'}"
        )


class SplitEmpty(InputError):
    """None of the cases may be used."""

    def __init__(self, wanted: Sequence[str], there: Sequence[str]) -> None:
        asked = " or ".join(wanted)
        super().__init__(
            f"the evaluation holds no fracture of the split {asked} that the network answered; it "
            f"has {', '.join(there) or 'none at all'}: name another with --split, and prove the "
            "new set on cases that nothing was chosen on"
        )


class OneClassOnly(InputError):
    """All cases are of one kind."""

    def __init__(self, cases: int, label: str) -> None:
        super().__init__(
            f"all {cases} answered fractures of the evaluation are {label}, and cuts lie between "
            "two classes: label fractures of both, or name more splits with --split"
        )


class NotOfAModelSet(InputError):
    """The answers were read from results or from a table of another program."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the evaluation does not say which model set gave the answers of '{name}': name it "
            "with --set, evaluate a model set itself, or add --show to see the curve alone"
        )


class ModelSetChanged(ModelError):
    """The set that lies there is not the one whose answers were evaluated."""

    def __init__(self, name: str, digest: str, evaluated: str) -> None:
        super().__init__(
            f"model set '{name}' is not the one that was evaluated (its digest is {digest[:12]}…, "
            f"that was {evaluated[:12]}…): name the evaluated one with --set, or evaluate anew"
        )


class HasFusion(ModelError):
    """The tiers of such a set are not the classifier's."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The fusion of {name} sets its tiers, not the classifier: calibrate the set without "
            "it, or choose the fusion's thresholds by python -m models.recipes fusion."
        )


class NoClassifier(ModelError):
    """Nothing to calibrate."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"model set '{name}' has no classifier to calibrate: name one that has with --set"
        )
