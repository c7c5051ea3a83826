"""Signs in the card of a vertebra: value, unit and norm, marked where they lie outside."""

from dataclasses import dataclass

from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Finding, Sign

_DIGITS = {"HU": 0, "%": 0, "deg": 0, "mm2": 0}
_UNITS = {"mm2": "mm²", "deg": "°"}
_DASH = "–"


@dataclass(frozen=True)
class SignRow:
    """A line in words. value: with its unit, or why there is none."""

    name: str
    value: str
    norm: str
    abnormal: bool


def sign_rows(finding: Finding, t: Wording) -> tuple[SignRow, ...]:
    """The vertebra's signs; empty where they were not asked for."""
    return tuple(
        SignRow(t(f"sign.{sign.name}"), _value(sign, t), _norm(sign, t), bool(sign.is_abnormal))
        for sign in finding.signs
    )


def _value(sign: Sign, t: Wording) -> str:
    if sign.value is None:
        reason = sign.reason or ""
        return t.known("sign_reason", reason) or t.reason(reason)
    return f"{_number(sign.value, sign.unit, t)} {_UNITS.get(sign.unit, sign.unit)}"


def _number(value: float, unit: str, t: Wording) -> str:
    digits = _DIGITS.get(unit, 1)
    return t.number(round(value, digits) + 0.0, digits)


def _norm(sign: Sign, t: Wording) -> str:
    low, high = (
        None if end is None else _number(end, sign.unit, t)
        for end in (sign.normal_low, sign.normal_high)
    )
    if low is not None and high is not None:
        return t("sign.between", low=low, high=high)
    if high is not None:
        return t("sign.up_to", high=high)
    return _DASH if low is None else t("sign.from", low=low)
