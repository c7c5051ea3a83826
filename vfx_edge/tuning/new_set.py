"""A calibrated model set: the source's networks, new thresholds, and what they rest on.

The new set holds a copy of every network that the source runs, those of its base, too: the
thresholds were chosen for answers about what exactly these networks found and outlined.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from vfx_edge.files import as_output_error, make_folder
from vfx_edge.manifest import (
    CalibrationSpec,
    ClassifierParameters,
    ModelManifest,
    NetworkSpec,
    load_model_set,
)
from vfx_edge.manifest.errors import SetNotWritten
from vfx_edge.manifest.files import MANIFEST
from vfx_edge.manifest.roles import PARAMETERS
from vfx_edge.manifest.writing import check_target, manifest_text
from vfx_edge.scratch import HIDDEN, give_name, private_folder
from vfx_edge.tuning.card import based_on, card_text
from vfx_edge.tuning.choice import Choice
from vfx_edge.tuning.page import calibration_page
from vfx_edge.tuning.reading import Evaluation

PAGE = "calibration.html"
MARK = "cal"
"""Begins the part of a version that a calibration adds: 0.1.0+cal.20260131.1a2b3c4d."""
_CALIBRATED = re.compile(r"[+.]" + MARK + r"\.\d{8}\.[0-9a-f]{8}$")
_SAID = " Thresholds chosen on "


def check_new(folder: Path) -> None:
    """SetNotWritten where the folder is there already, and holds anything: a calibration never
    replaces a set."""
    with as_output_error(folder, "-o"):
        check_target(folder, overwrite=False, if_there="name a new folder with -o")


def write_calibrated(
    source: ModelManifest, evaluation: Evaluation, choice: Choice, folder: Path, made: date
) -> ModelManifest:
    """Writes the set, proves it by reading it back, and gives it its name: whole or not at all.

    Raises SetNotWritten, OutputError leaves, and ModelError leaves where the source's files are
    not those of its manifest.
    """
    check_new(folder)
    calibration = _calibration(source, evaluation, choice, made)
    networks, files = _networks(source, choice, calibration)
    head = _head(source, evaluation, folder.resolve().name, calibration)
    files |= {
        MANIFEST: manifest_text(head, networks).encode(),
        "card.md": card_text(source, evaluation, choice, calibration, head).encode(),
        PAGE: calibration_page(
            f"{head['name']} {head['version']}", based_on(source, evaluation), choice
        ).encode(),
    }
    place = folder.resolve()
    make_folder(place.parent, "-o")
    with as_output_error(folder, "-o"), private_folder(place.parent, HIDDEN) as hidden:
        partial = hidden / place.name
        partial.mkdir()
        for name, data in files.items():
            (partial / name).write_bytes(data)
        for spec in load_model_set(partial).networks:
            spec.read_all()
        if place.exists():
            place.rmdir()  # empty, or check_new had refused it
        give_name(partial, place)
    return load_model_set(place)


def _calibration(
    source: ModelManifest, evaluation: Evaluation, choice: Choice, made: date
) -> CalibrationSpec:
    """Its name tells calibrations apart that were made of other rows, or chosen otherwise. What
    was evaluated had the source's own temperature already."""
    cases = evaluation.cases
    before = source.network("classifier").calibration
    temperature = choice.temperature * (before.temperature if before else 1.0)
    facts: dict[str, Any] = {
        "made": made.isoformat(),
        "cases": len(cases),
        "malignant": int(cases.malignant.sum()),
        "wanted": choice.wanted,
        "temperature": float(f"{temperature:.6g}"),
    }
    if choice.asked.coverage is not None:
        osteoporotic, malignant = choice.limits
        facts |= {
            "coverage": choice.asked.coverage,
            "conformal_osteoporotic": osteoporotic,
            "conformal_malignant": malignant,
        }
    rows = [cases.p.tolist(), cases.malignant.tolist(), choice.thresholds, facts, source.digest]
    digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:8]
    return CalibrationSpec(name=f"{MARK}.{made:%Y%m%d}.{digest}", **facts)


def _head(
    source: ModelManifest, evaluation: Evaluation, name: str, calibration: CalibrationSpec
) -> dict[str, Any]:
    """The manifest's top: the source's, but for name, version and summary; without its base."""
    plain = _CALIBRATED.sub("", source.version)
    joint = "." if "+" in plain else "+"  # as semantic versions have it
    said = f"{_SAID}{calibration.cases} fractures ({calibration.wanted})."
    return {
        "name": name,
        "version": f"{plain}{joint}{calibration.name}",
        "intended_use": source.intended_use,
        "licence": source.licence,
        "training_data": source.training_data,
        "summary": source.summary.partition(_SAID)[0] + said,
        "fracture": {"height_loss_suspected": source.height_loss_suspected},
    }


def _networks(
    source: ModelManifest, choice: Choice, calibration: CalibrationSpec
) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """The [[network]] tables as they stand in the source's files, and the files' bytes."""
    tables: list[dict[str, Any]] = []
    files: dict[str, bytes] = {}
    for spec in source.networks:
        table = _table_of(spec)
        names = _file_names(spec, set(files))
        for key, data in spec.read_all().items():
            table[key] = names[key]
            files[names[key]] = data
        if "classifier" in spec.roles:
            malignant, osteoporotic = choice.thresholds
            table["parameters"] |= {
                "threshold_malignant": malignant,
                "threshold_osteoporotic": osteoporotic,
            }
            table["calibration"] = asdict(calibration)
        tables.append(table)
    return tables, files


def _table_of(spec: NetworkSpec) -> dict[str, Any]:
    """As it stands in its own manifest, for the roles that it fills in the source."""
    try:
        text = spec.manifest_path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise SetNotWritten(spec.manifest_path, why, "restore the source's manifest") from error
    found: list[dict[str, Any]] = tomllib.loads(text)["network"]
    table = next(one for one in found if set(spec.roles) <= set(one["roles"]))
    parameters: Mapping[str, Any] = table.get("parameters", {})
    if set(table["roles"]) != set(spec.roles):  # the others are filled by another set
        known = {key for role in spec.roles for key in PARAMETERS[role].__struct_fields__}
        parameters = {key: value for key, value in parameters.items() if key in known}
    return {**table, "roles": list(spec.roles), "parameters": dict(parameters)}


def _file_names(spec: NetworkSpec, taken: set[str]) -> dict[str, str]:
    """Of its files in one flat folder: their own, or with the network's role before it where
    another set's file has that name."""
    own = {key: path.name for key, path in spec.paths.items()}
    clash = taken & set(own.values())
    return {key: f"{spec.roles[0]}-{name}" if clash else name for key, name in own.items()}


def parameters_now(source: ModelManifest) -> ClassifierParameters:
    """The source's thresholds."""
    return source.network("classifier").parameters_of(ClassifierParameters)
