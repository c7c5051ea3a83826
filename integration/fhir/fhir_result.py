"""result.json -> a FHIR R5 Bundle: ImagingStudy, one Observation for each suspected vertebra,
and the DiagnosticReport of them. Needs `pip install fhir.resources`.

    python fhir_result.py out/result.json --patient Patient/123 > bundle.json

The result names no patient: the sender of the bundle adds the reference. The status is
"preliminary": no person has confirmed it.
"""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from fhir.resources.bundle import Bundle
from pydicom.sr.codedict import codes

SNOMED, UCUM, DICOM_UID = "http://snomed.info/sct", "http://unitsofmeasure.org", "urn:dicom:uid"
TIERS = "urn:vfx-edge:tier"
"""The product's own scheme: SNOMED CT has no code for "suspected by a program"."""


def bundle_of(result: dict[str, Any], patient: str) -> Bundle:
    """The bundle, checked against FHIR's own schema. ValueError where it is not valid."""
    series, run = result["series"], result["run"]
    subject = {"reference": patient}
    study = f"urn:uuid:{uuid5(NAMESPACE_OID, series['study_uid'])}"
    observations = [
        (f"urn:uuid:{uuid5(NAMESPACE_OID, series['series_uid'] + finding['level'])}", finding)
        for finding in result["findings"]
        if finding["suspected_fracture"]
    ]
    resources = [(study, _study(series, subject))]
    resources += [(url, _observation(one, study, subject, run)) for url, one in observations]
    report = f"urn:uuid:{uuid5(NAMESPACE_OID, series['series_uid'] + 'report')}"
    resources.append((report, _report(result, study, [url for url, _ in observations], subject)))
    entries = [{"fullUrl": url, "resource": resource} for url, resource in resources]
    return Bundle.model_validate(
        {
            "resourceType": "Bundle",
            "type": "collection",
            "timestamp": datetime.now(UTC).isoformat(),
            "entry": entries,
        }
    )


def _study(series: dict[str, Any], subject: dict[str, str]) -> dict[str, Any]:
    modality = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}
    return {
        "resourceType": "ImagingStudy",
        "status": "available",
        "subject": subject,
        "identifier": [{"system": DICOM_UID, "value": f"urn:oid:{series['study_uid']}"}],
        "series": [
            {
                "uid": series["series_uid"],
                "modality": {"coding": [modality]},
                "numberOfInstances": series["slices"],
                **({"description": series["description"]} if series["description"] else {}),
            }
        ],
    }


def _observation(
    finding: dict[str, Any], study: str, subject: dict[str, str], run: dict[str, Any]
) -> dict[str, Any]:
    assessment = finding["assessment"]
    seen_intact = assessment.get("reason") == "intact"
    tier = assessment.get("tier", "intact" if seen_intact else assessment["kind"])
    components = [_quantity("height loss", finding["height_loss"], 100, "%", "%")]
    for name, value in (finding["heights_mm"] or {}).items():
        components.append(_quantity(f"{name} height", value, 1, "mm", "mm"))
    if said := finding.get("detector"):
        components.append(_quantity("probability: fracture", said["probability"], 1, "1", "1"))
    for name, value in assessment.get("probabilities", {}).items():
        components.append(_quantity(f"probability: {name}", value, 1, "1", "1"))
    return {
        "resourceType": "Observation",
        "status": "preliminary",
        "code": {"text": f"Vertebral fracture {_either(finding)}"},
        "subject": subject,
        "derivedFrom": [{"reference": study}],
        "effectiveDateTime": run["started_at"],
        "valueCodeableConcept": {"coding": [{"system": TIERS, "code": tier}], "text": tier},
        "bodySite": _body_site(finding["level"], _either(finding)),
        "device": {"display": f"vfx-edge {run['version']}, {run['model_set']['intended_use']}"},
        "component": [one for one in components if one],
    }


def _either(finding: dict[str, Any]) -> str:
    """The level, with those that it could be as well: "T12 or L1"."""
    return " or ".join([finding["level"], *(one["level"] for one in finding["alternatives"])])


def _body_site(level: str, text: str) -> dict[str, Any]:
    """Coded as the likelier level, the others in words."""
    code = getattr(codes.SCT, f"{level}Vertebra", None)  # none for T13 and L6
    if code is None:
        return {"text": text}
    return {
        "coding": [{"system": SNOMED, "code": code.value, "display": code.meaning}],
        "text": text,
    }


def _quantity(
    name: str, value: float | None, factor: float, unit: str, code: str
) -> dict[str, Any] | None:
    if value is None:
        return None
    quantity = {"value": round(value * factor, 3), "unit": unit, "system": UCUM, "code": code}
    return {"code": {"text": name}, "valueQuantity": quantity}


def _report(
    result: dict[str, Any], study: str, observations: list[str], subject: dict[str, str]
) -> dict[str, Any]:
    triage, run = result["triage"], result["run"]
    return {
        "resourceType": "DiagnosticReport",
        "status": "preliminary",
        "code": {"text": "Vertebral fracture triage on CT"},
        "subject": subject,
        "issued": run["started_at"],
        "study": [{"reference": study}],
        "result": [{"reference": url} for url in observations],
        "conclusion": triage["recommendation"],
        "note": [{"text": words} for words in _coverage(triage["coverage"])],
        "conclusionCode": [{"coding": [{"system": TIERS, "code": triage["tier"]}]}],
    }


def _coverage(coverage: dict[str, Any]) -> list[str]:
    """What the conclusion rests on: no conclusion stands without it."""
    lines = [("Judged", coverage["assessed"]), ("Cut off by the edge of the scan", coverage["cut"])]
    sentences = [f"{what}: {', '.join(levels)}" for what, levels in lines if levels]
    return sentences + [
        f"{one['level']} could not be judged: {one['reason'].replace('_', ' ')}"
        for one in coverage["unread"]
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="result.json -> FHIR R5 bundle")
    parser.add_argument("result", type=Path)
    parser.add_argument("--patient", required=True, help="for example Patient/123")
    asked = parser.parse_args()
    try:
        result = json.loads(asked.result.read_text("utf-8"))
        print(bundle_of(result, asked.patient).model_dump_json(indent=1))
    except (OSError, ValueError, KeyError) as error:
        print(f"fhir_result: {asked.result} is no result.json ({error!r})", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
