"""The report's small print: how the series was taken and how the result came about."""

from vfx_edge.outputs.wording import Wording
from vfx_edge.study import Anchor, ByHand, RunInfo, SeriesInfo, StudyResult

Fact = tuple[str, str]

_MOST_OTHERS = 6
_DEFAULT_LOSS = 0.20
_SHORTEST_S = 0.005


def series_facts(series: SeriesInfo, t: Wording) -> list[Fact]:
    """Nothing that identifies a patient."""
    contrast = {True: "page.yes", False: "page.no", None: "page.unknown"}[series.contrast]
    facts = [
        (t("fact.description"), series.description or "–"),
        (t("fact.slices"), str(series.slices)),
        (t("fact.spacing"), " × ".join(t.number(v, 2) for v in series.spacing_mm) + " mm"),
        (t("fact.orientation"), t.known("orientation", series.orientation) or series.orientation),
        (t("fact.kernel"), series.kernel or t("page.unknown")),
        (t("fact.contrast"), t(contrast)),
        (t("fact.study_uid"), series.study_uid),
        (t("fact.series_uid"), series.series_uid),
    ]
    if series.slice_thickness_mm is not None:
        facts.insert(3, (t("fact.thickness"), f"{t.number(series.slice_thickness_mm, 2)} mm"))
    if series.others:
        facts.append((t("fact.others"), _others(series, t)))
    return facts


def _others(series: SeriesInfo, t: Wording) -> str:
    lines = [f"{o.series_uid}: {o.reason}" for o in series.others[:_MOST_OTHERS]]
    left = len(series.others) - _MOST_OTHERS
    if left > 0:
        lines.append(t("fact.more_others", count=left))
    return "\n".join(lines)


def run_facts(run: RunInfo, t: Wording) -> list[Fact]:
    """Program, models and what really ran."""
    backend = run.backend
    facts = [
        (t("fact.version"), f"vfx-edge {run.version}"),
        (t("fact.started"), run.started_at),
        (t("fact.model_set"), run.model_set),
        (t("fact.intended_use"), run.intended_use),
        (t("fact.calibration"), calibrated(run, t)),
        (
            t("fact.backend"),
            f"{backend.used} ({t('fact.asked', requested=backend.requested)})",
        ),
        (t("fact.device"), f"{backend.device}, {backend.precision}"),
    ]
    if (server := backend.server) is not None:
        line = t("fact.encrypted" if server.tls else "fact.open")
        words = t("fact.sent", software=server.software, address=server.address, line=line)
        facts.append((t("fact.server"), words))
    for word, pairs in (("fact.skipped", backend.skipped), ("fact.failed", backend.failed)):
        if pairs:
            facts.append((t(word), "\n".join(f"{name}: {reason}" for name, reason in pairs)))
    facts.append((t("fact.memory"), f"{t.number(run.peak_rss_mib, 0)} MiB"))
    if run.peak_vram_mib is not None:
        facts.append((t("fact.memory_gpu"), f"{t.number(run.peak_vram_mib, 0)} MiB"))
    return facts


def calibrated(run: RunInfo, t: Wording) -> str:
    """By what cases the classifier's thresholds were chosen."""
    if (made := run.calibration) is None:
        return t("fact.shipped")
    return t(
        "fact.calibrated",
        name=made.name,
        made=made.made,
        cases=made.cases,
        malignant=made.malignant,
        wanted=made.wanted,
    )


def timings(run: RunInfo, t: Wording) -> list[Fact]:
    """Seconds per stage, in the order they ran; not those that took no time, nor the writing of
    this page, which is not over yet."""
    return [
        (t.known("stage", stage) or stage, t.number(seconds, 2))
        for stage, seconds in run.seconds.items()
        if seconds >= _SHORTEST_S
    ]


def limits(result: StudyResult, t: Wording) -> list[str]:
    """What the program does not do."""
    thresholds = result.run.thresholds
    loss = t.percent(thresholds.get("height_loss", _DEFAULT_LOSS))
    suspicion = t("limit.loss", loss=loss)
    if (p := thresholds.get("detector")) is not None:
        suspicion = t("limit.detector", loss=loss, p=t.number(p, 2))
    return [
        t("limit.reader"),
        suspicion,
        t("limit.range"),
        by_hand(result.run.levels_by_hand, t) or t("limit.levels"),
    ]


def by_hand(setting: ByHand | None, t: Wording) -> str | None:
    """How a person set the levels; None where nobody did."""
    if setting is None:
        return None
    if isinstance(setting, Anchor):
        return t("limit.by_anchor", level=setting.level, z=t.number(setting.z_mm))
    return t("limit.by_shift", levels=f"{setting.levels:+d}")
