"""One harness under atheris, in a process of its own: NAME CORPUS FINDINGS, then libFuzzer's words.

What raises is written down once for each place it came from, and the fuzzer goes on; only what
ends, stops or bloats the process ends the run.
"""

import hashlib
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path

import atheris

PARSERS = ("pydicom.filereader", "pydicom.fileutil", "pydicom.values", "pydicom.encaps")
NETWORK = ("pynetdicom.pdu", "pynetdicom.pdu_items", "pynetdicom.dul", "pynetdicom.dimse")
GUIDING = {
    **dict.fromkeys(("dicom-file", "dicom-folder", "mask"), PARSERS),
    **dict.fromkeys(("manifest", "settings"), ("tomllib._parser",)),
    "association": NETWORK,
    "zip": ("zipfile",),
}
"""Others' modules whose branches guide the fuzzer, by harness; ours do always. The whole of pydicom
would take ten seconds to prepare."""


def _others(wanted: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Packages to look into, and those of their modules to leave out: atheris takes whole packages
    only."""
    packages = sorted({name.partition(".")[0] for name in wanted})
    left_out = []
    for package in packages:
        found = find_spec(package)
        for folder in (found.submodule_search_locations if found else None) or ():
            files = (path.relative_to(folder) for path in Path(folder).rglob("*.py"))
            names = {".".join((package, *path.with_suffix("").parts)) for path in files}
            left_out += [package, *(name.removesuffix(".__init__") for name in names)]
    return packages, [name for name in left_out if name not in wanted]


packages, left_out = _others(GUIDING.get(sys.argv[1], ()))
with atheris.instrument_imports(include=["vfx_edge", *packages], exclude=left_out):
    from tests.fuzz.dicom_mutation import mutator
    from tests.fuzz.target import Try, Work
    from tests.fuzz.targets import TARGETS

STRUCTURED = {"dicom-file": False, "dicom-folder": True}
"""Harnesses whose inputs are changed element by element; whether they hold several files."""


def main() -> None:
    target, corpus, findings = TARGETS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
    work = Work()
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    kept = _keeping(target.open(work), findings)
    more = {}
    if target.name in STRUCTURED:
        more["custom_mutator"] = mutator(folder=STRUCTURED[target.name])
    atheris.Setup(
        [sys.argv[0], str(corpus), f"-max_len={target.longest}", *sys.argv[4:]], kept, **more
    )
    atheris.Fuzz()


def _keeping(attempt: Try, findings: Path) -> Try:
    """The same, with what it raises written to `findings`."""
    known: set[str] = set()

    def run(data: bytes) -> None:
        try:
            attempt(data)
        except Exception as error:  # noqa: BLE001  any is a finding
            frames = traceback.extract_tb(error.__traceback__)
            where = f"{type(error).__name__} {frames[-1].filename}:{frames[-1].lineno}"
            if where not in known:
                known.add(where)
                name = hashlib.sha256(where.encode()).hexdigest()[:12]
                (findings / name).write_bytes(data)
                (findings / f"{name}.txt").write_text(traceback.format_exc())

    return run


if __name__ == "__main__":
    main()
