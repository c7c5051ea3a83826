"""What is inside the packages that vfx-edge runs on, as far as their wheels tell.

`python soup.py SBOM.json PAGE.md`, by the Python of the environment that the SBOM is about: adds to
each package of a CycloneDX SBOM the libraries that its wheel brings, and writes the list of SOUP
(software of unknown provenance, IEC 62304) from it. Nothing of the list is written by hand.
"""

import hashlib
import json
import platform
import re
import ssl
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

Part = dict[str, Any]
OWN = "vfx-edge"
STATED = {  # package -> library -> how its version stands in the compiled code
    "simpleitk": {
        "GDCM": rb"GDCM (\d+\.\d+\.\d+)\0",
        "zlib": rb" deflate (\d+\.\d+\.\d+) Copyright",
        "libpng": rb"libpng version (\d+\.\d+\.\d+)",
        "HDF5": rb"HDF5 library version: (\d+\.\d+\.\d+)",
        "Expat": rb"\0expat_(\d+\.\d+\.\d+)\0",
    },
}
SILENT = {"simpleitk": ("OpenJPEG", "CharLS", "libjpeg")}
"""Compiled in (ITK's modules), without a version that could be read."""
LIBRARY = re.compile(r"(lib[\w+-]+?)(?:-[0-9a-f]{8})*(?:\.cpython[^.]*\S*)?\.so(?:\.([\d.]+))?$")
BEGIN, END = "<!-- soup:begin -->", "<!-- soup:end -->"


def parts_of(name: str) -> list[Part]:
    """The libraries in a package's wheel, each once: by its own SBOM (PEP 770), by what its code
    says of itself, by the names of its shared libraries."""
    try:
        files = metadata.distribution(name).files or ()
    except metadata.PackageNotFoundError:
        return []
    paths = [Path(str(file.locate())) for file in files]
    found: dict[str, Part] = {}
    for part in (*_itk(name), *_stated(name, paths), *_of_sboms(paths), *_shared(name, paths)):
        found.setdefault(re.sub(r"^lib|\W", "", part["name"].lower()), part)
    return list(found.values())


def _itk(name: str) -> Iterator[Part]:
    if name.lower() == "simpleitk":
        import SimpleITK

        yield _part("ITK", SimpleITK.Version.ITKVersionString(), "stated by SimpleITK")


def _of_sboms(paths: list[Path]) -> Iterator[Part]:
    for path in paths:
        if path.parent.name == "sboms" and path.suffix == ".json" and path.is_file():
            for one in json.loads(path.read_text("utf-8")).get("components", ()):
                if one["name"].startswith("PIL.") or one["name"] == path.parts[-3].split("-")[0]:
                    continue  # the package's own modules
                yield _part(one["name"], one.get("version", ""), "the wheel's own SBOM")


def _stated(name: str, paths: list[Path]) -> Iterator[Part]:
    patterns = STATED.get(name.lower(), {})
    code = [p.read_bytes() for p in paths if patterns and p.suffix in (".so", ".pyd", ".py")]
    for library, pattern in patterns.items():
        if match := next(filter(None, (re.search(pattern, data) for data in code)), None):
            yield _part(library, match[1].decode(), "stated in the compiled code")
    for library in SILENT.get(name.lower(), ()):
        yield _part(library, "", "compiled in, version not stated")


def _shared(name: str, paths: list[Path]) -> Iterator[Part]:
    """Shared libraries under a name of their own; the number is of their interface (SONAME)."""
    for path in paths:
        match = LIBRARY.search(path.name)
        if match and path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            part = _part(match[1], match[2] or "", f"shared library {path.name}")
            yield part | {"hashes": [{"alg": "SHA-256", "content": digest}]}


def _part(name: str, version: str, how: str) -> Part:
    part = {"type": "library", "name": name, "description": how}
    return part | ({"version": version} if version else {})


def complete(sbom: dict[str, Any]) -> dict[str, Any]:
    """The SBOM with the parts of its packages, Python itself and its OpenSSL."""
    for component in sbom["components"]:
        if parts := parts_of(component["name"]):
            component["components"] = [
                part | {"bom-ref": f"{component['bom-ref']}/{part['name']}"} for part in parts
            ]
    python = _part("Python", platform.python_version(), platform.python_implementation())
    openssl = _part("OpenSSL", ssl.OPENSSL_VERSION.split()[1], "of Python; TLS of the service")
    own = [one | {"bom-ref": f"runtime/{one['name']}"} for one in (python, openssl)]
    kept = [c for c in sbom["components"] if not c["bom-ref"].startswith("runtime/")]
    return sbom | {"components": [*kept, *own]}


def table(sbom: dict[str, Any]) -> str:
    """The list as Markdown: packages that vfx-edge names as its dependencies first."""
    by_ref = {c["bom-ref"]: c for c in sbom["components"]}
    wanted = _wanted(metadata.requires(OWN) or ())
    named = {ref for ref, one in by_ref.items() if _normal(one["name"]) in wanted}
    rows = ["| package | version | licence, as declared | what it is | inside its wheel |"]
    rows += ["| --- | --- | --- | --- | --- |"]
    for ref, one in sorted(by_ref.items(), key=lambda kv: (kv[0] not in named, kv[0].lower())):
        name = f"**{one['name']}**" if ref in named else one["name"]
        inside = ", ".join(_named(part) for part in one.get("components", ())) or "–"
        what = (one.get("description") or "–").replace("|", "/").strip()
        rows.append(f"| {name} | {one['version']} | {_licence(one)} | {what} | {inside} |")
    return "\n".join(rows)


def _wanted(required: Iterable[str]) -> set[str]:
    """The packages that an installation of `vfx-edge[service]` asks for by name."""
    extra = re.compile(r"""extra == ["'](\w+)["']""")
    asked = [one for one in required if (extra.findall(one) or ["service"]) == ["service"]]
    return {_normal(re.split(r"[^\w.-]", one)[0]) for one in asked}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _named(part: Part) -> str:
    return f"{part['name']} {part.get('version', '(version not stated)')}"


def _licence(component: dict[str, Any]) -> str:
    """The expression or the shortest declared name; texts of whole licences are no names."""
    given = component.get("licenses", ())
    names = [
        str(text)
        for one in given
        for text in (one.get("expression"), *map((one.get("license") or {}).get, ("id", "name")))
        if text and "\n" not in str(text)
    ]
    names = [name.rpartition(" :: ")[2] for name in names]  # without "License :: OSI Approved"
    return min(names, key=len) if names else "none; see the wheel's licence file"


def main(sbom_path: Path, page: Path) -> None:
    """Complete the SBOM in place, and the page between its two marks."""
    sbom = complete(json.loads(sbom_path.read_text("utf-8")))
    sbom_path.write_text(json.dumps(sbom, indent=2) + "\n", encoding="utf-8")
    before, _, rest = page.read_text("utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n{table(sbom)}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
