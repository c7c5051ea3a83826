"""What a cohort says of itself in its folder, for people and as BIDS asks for."""

from __future__ import annotations

import json

from vfx_edge.phantom.cohort.drawing import CAUSES, SCANNERS, SPLITS
from vfx_edge.phantom.cohort.readers import READERS, Reader

_README = """# A cohort of phantoms
{studies} synthetic CT of spines, drawn from seed {seed}. No patient was ever scanned: names, ages
and readers are made up. `vfx-edge phantom DIR --studies {studies} --seed {seed}` writes the same
files again.

- `rawdata/`: the CT, a small field about the spine. `derivatives/`: the exact outlines in VerSe's
  labels, and the centres of the bodies.
- `labels.csv`: the true cause of each vertebra; the patients are split into {splits}.
- Of the patients {causes}.
- Scanners: {scanners}.
- Readers answer by chance, with these shares of right answers; positive is malignant:
{readers}
"""


def description(studies: int, seed: int) -> str:
    """The text of BIDS' dataset_description.json."""
    content = {
        "Name": f"Phantoms of vertebral fractures: {studies} studies of seed {seed}",
        "BIDSVersion": "1.9.0",
        "DatasetType": "raw",
        "GeneratedBy": [{"Name": "vfx-edge phantom"}],
    }
    return json.dumps(content, indent=2) + "\n"


def readme(studies: int, seed: int) -> str:
    """The text of README.md."""
    return _README.format(
        studies=studies,
        seed=seed,
        splits=", ".join(
            f"{name} ({SPLITS.count(name) / len(SPLITS):.0%})" for name in dict.fromkeys(SPLITS)
        ),
        causes=", ".join(f"{share:.0%} are {cause}" for cause, share in CAUSES.items()),
        scanners=", ".join(f"{s.name} (slices of {s.slice_mm:g} mm)" for s in SCANNERS),
        readers="\n".join(map(_line, READERS)),
    )


def _line(reader: Reader) -> str:
    more = f"; {reader.uncertain:.0%} uncertain" if reader.uncertain else ""
    more += f"; {reader.left_out:.0%} not read" if reader.left_out else ""
    if reader.repeats is not None:
        more += f"; reads all twice and keeps {reader.repeats:.0%} of the answers"
    return (
        f"  - `{reader.name}`: sensitivity {reader.sensitivity:.2f}, "
        f"specificity {reader.specificity:.2f}{more}"
    )
