"""Golden phantoms: what the shipped model set answers on three small synthetic spines.

`python -m tests.golden` writes data/golden.json anew, by ONNX Runtime in fp32 on the CPU. Do that
where the model set, the phantoms or the chain are meant to answer otherwise, and look at what has
changed in the file.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfx_edge.backends import OpenModels, open_models
from vfx_edge.job import Job, run_job
from vfx_edge.manifest import load_model_set
from vfx_edge.outputs.dicom.ct_series import write_ct_series
from vfx_edge.phantom import FractureSpec, LesionSpec, PhantomSpec, make_phantom
from vfx_edge.study import BackendRequest

FILE = Path(__file__).parent / "data" / "golden.json"
REFERENCE = "cpu"
COARSE: Any = {"pixel_mm": 1.8, "matrix": (170, 210)}
PHANTOMS = {
    "intact": PhantomSpec(levels=("T12", "L4"), spacing_mm=2.5, seed=5, **COARSE),
    "wedge": PhantomSpec(
        levels=("T11", "L3"),
        spacing_mm=2.5,
        seed=3,
        fractures=(FractureSpec("L1", "wedge", 0.4),),
        **COARSE,
    ),
    "lytic": PhantomSpec(
        levels=("T9", "L1"),
        spacing_mm=2.0,
        seed=7,
        fractures=(FractureSpec("T11", "crush", 0.45),),
        lesions=(LesionSpec("T11", "lytic"),),
        **COARSE,
    ),
}
TOLERANCE = {
    "centroid_lps_mm": 0.5,
    "heights_mm": 1.5,
    "height_loss": 0.06,
    "label_probability": 0.10,
    "probabilities": 0.15,
}
"""How far another processor, number format, thread count or backend may be from the reference; what
is not a number (levels, tier, suspicion, assessment) must be the same."""
KEPT = ("level", "centroid_lps_mm", "heights_mm", "height_loss", "label_probability",
        "suspected_fracture", "assessment")  # fmt: skip


def write_phantom(name: str, folder: Path) -> Path:
    """The phantom as a folder of DICOM."""
    made = make_phantom(PHANTOMS[name])
    return write_ct_series(made.hu, made.affine_zyx_to_lps, folder)


def answer(ct: Path, models: OpenModels, out: Path) -> dict[str, Any]:
    """What is golden of the result."""
    run_job(Job(ct, out, kinds=("json",)), models)
    result = json.loads((out / "result.json").read_text("utf-8"))
    triage = {key: result["triage"][key] for key in ("tier", "levels", "coverage")}
    findings = [{key: finding[key] for key in KEPT} for finding in result["findings"]]
    return {"triage": triage, "findings": findings, "warnings": result["run"]["warnings"]}


def differences(given: Any, golden: Any, what: str = "") -> list[str]:
    """Each place where `given` is not what is golden, or is further from it than tolerated."""
    if isinstance(golden, Mapping) and isinstance(given, Mapping):
        if given.keys() != golden.keys():
            return [f"{what}: {sorted(given)} instead of {sorted(golden)}"]
        pairs = [(given[k], golden[k], f"{what}/{k}") for k in golden]
    elif isinstance(golden, list) and isinstance(given, list) and len(given) == len(golden):
        names = [v.get("level", i) if isinstance(v, dict) else i for i, v in enumerate(golden)]
        pairs = [(a, b, f"{what}/{n}") for a, b, n in zip(given, golden, names, strict=True)]
    elif isinstance(golden, float) and isinstance(given, float):
        most = next((mm for key, mm in TOLERANCE.items() if f"/{key}" in what), 0.0)
        return [f"{what}: {given} instead of {golden}"] * (abs(given - golden) > most + 1e-9)
    else:
        return [f"{what}: {given} instead of {golden}"] * (given != golden)
    return [line for one in pairs for line in differences(*one)]


def main() -> int:
    """Write the file."""
    manifest = load_model_set()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_models(manifest, BackendRequest(REFERENCE, "fp32")) as models,
    ):
        answers = {
            name: answer(write_phantom(name, Path(folder, name)), models, Path(folder, "out"))
            for name in PHANTOMS
        }
    kept = {"model_set": manifest.digest, "tolerance": TOLERANCE, "phantoms": answers}
    FILE.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
