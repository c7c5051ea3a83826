"""Why no reader can be trained."""

from pathlib import Path

from vfx_edge.errors import InputError, UsageError


class FeaturesUnreadable(InputError):
    """The table of features is none."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} can't be read as features ({why}): give the features.csv of "
            "`vfx-edge evaluate --radiomics`."
        )


class TooFewCases(InputError):
    """Of a cause there are too few fractures to leave some out."""

    def __init__(self, osteoporotic: int, malignant: int, least: int) -> None:
        super().__init__(
            f"There are {osteoporotic} osteoporotic and {malignant} malignant fractures to learn "
            f"from: label {least} of each at least."
        )


class NoFeature(UsageError):
    """Nothing is known that could tell the causes apart."""

    def __init__(self) -> None:
        super().__init__(
            "No feature is known of these fractures: fill age, sex, known_tumour or "
            "previous_fracture in labels.csv, or give an evaluation's features with --features."
        )


class UnknownFeature(UsageError):
    """A feature that was named and is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"No table has the feature {name!r}: use a column's name as it stands there."
        )


class NothingShared(InputError):
    """Network and tabular answers that do not go together."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The evaluations and the answers can't be put together ({why}): evaluate the network "
            "on the labels that the tabular network was trained on."
        )


class NoTabular(UsageError):
    """A fusion needs the tabular network that it was fitted for, in the same set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            f"{folder} holds no tabular network: make it first with "
            "python -m models.recipes tabular."
        )
