"""What a manifest says of number formats: which are allowed, and how far INT8 is from FP32."""

from typing import Annotated

from msgspec import Meta
from msgspec.structs import force_setattr

from vfx_edge.manifest.calibration import Text
from vfx_edge.manifest.roles import Share, Table, unique
from vfx_edge.vocabulary import Precision, Stored


class PrecisionSpec(Table, frozen=True, kw_only=True):
    """Number formats that were measured to keep the answers, and how closely."""

    stored: Annotated[
        Stored,
        Meta(description="what the file itself computes in; int8: a quantised one"),
    ] = "fp32"
    allowed: Annotated[
        tuple[Precision, ...],
        Meta(
            min_length=1,
            description="of what the file leaves open; fp32 is always among them; `export parity` "
            "shows which keep the answers",
        ),
    ] = ("fp32",)
    max_probability_difference: Annotated[
        Share, Meta(description="that a precision may make against the original network")
    ] = 0.05
    min_dice: Annotated[Share, Meta(description="that masks must keep against the original's")] = (
        0.99
    )

    def __post_init__(self) -> None:
        unique("allowed", self.allowed)
        if self.stored == "int8" and "fp16" in self.allowed:
            raise ValueError("an int8 file has no FP16 form: 'allowed' must not hold fp16")
        if self.stored != "fp32" and "int8" in self.allowed:
            raise ValueError(f"'allowed' must not hold int8: the file is in {self.stored} itself")
        if "fp32" not in self.allowed:
            force_setattr(self, "allowed", ("fp32", *self.allowed))


class MeasuredSpec(Table, frozen=True, kw_only=True):
    """How far the INT8 file's answers are from the FP32 file's: `export quantize` measures it."""

    crops: Annotated[int, Meta(ge=1, description="that both files were asked about")]
    source: Annotated[Text, Meta(description="what the crops were cut from")]
    max_difference: Annotated[Share, Meta(description="of probabilities")]
    mean_difference: Annotated[Share, Meta(description="of the absolute differences")]
    min_dice: Annotated[Share | None, Meta(description="of the worst class's masks")] = None
    tier_changes: (
        Annotated[int, Meta(ge=0, description="crops that would get another tier, for classifiers")]
        | None
    ) = None
