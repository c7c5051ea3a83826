"""Model sets whose manifest is garbage, lies, or leads out of its folder."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.corpus.case import Base, Case, Make, Outcome, Reads, Refused
from vfx_edge.manifest.files import find_model_set

BROKEN = Refused(".", code=4)
Edit = Callable[[str], str]


def _set(
    edit: Callable[[str], str | bytes], *, network: Callable[[bytes], bytes] | None = None
) -> Make:
    """The shipped set with another manifest; its networks are links, or one of them changed."""

    def make(_base: Base, folder: Path) -> Path:
        shipped = find_model_set("default")
        made = folder / "set"
        made.mkdir()
        for path in shipped.iterdir():
            if path.suffix == ".onnx":
                (made / path.name).symlink_to(path)
        if network is not None:
            (made / "locator.onnx").unlink()
            (made / "locator.onnx").write_bytes(network((shipped / "locator.onnx").read_bytes()))
        text = edit((shipped / "manifest.toml").read_text("utf-8"))
        content = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        (made / "manifest.toml").write_bytes(content)
        return made

    return make


def _line(key: str, value: str) -> Edit:
    """The first line of a key says something else."""
    return lambda text: re.sub(rf"(?m)^{key} = .*$", lambda _: f"{key} = {value}", text, count=1)


def _same(text: str) -> str:
    return text


MANIFESTS: dict[str, Callable[[str], str | bytes]] = {
    "empty": lambda _: "",
    "zeros": lambda _: bytes(4000),
    "binary": lambda t: b"\xff\xfe" + t.encode(),
    "JSON": lambda _: '{"schema": 1}',
    "cut": lambda t: t[: len(t) // 2] + '"',
    "without its networks": lambda t: t[: t.index("[[network]]")],
    "an array without end": lambda t: t + "\nx = " + "[" * 50,
    "10,000 brackets": lambda t: t + "\nx = " + "[" * 10_000 + "]" * 10_000,
    "10,000 tables": lambda t: t + "".join(f"\n[a.b{n}]" for n in range(10_000)),
    "2 MB": lambda t: t + "\n# " + "x" * 2_000_000,
    "a number of 100,000 digits": lambda t: t + "\nx = " + "9" * 100_000,
    "a schema of tomorrow": _line("schema", '"vfx-edge/model/99"'),
    "a schema that is a number": _line("schema", "7"),
    "a name of dots": _line("name", '"../../etc"'),
    "a name of 10,000 letters": _line("name", '"' + "n" * 10_000 + '"'),
    "a use of nonsense": _line("intended_use", '"everything"'),
    "a file that leads up": _line("file", '"../../../etc/passwd"'),
    "an absolute file": _line("file", '"/etc/passwd"'),
    "a file of Windows": _line("file", '"C:\\\\Windows\\\\win.ini"'),
    "a file that is a folder": _line("file", '"."'),
    "a file with nul": _line("file", '"a\\u0000b"'),
    "a file that is missing": _line("file", '"gone.onnx"'),
    "a hash that is short": _line("sha256", '"3ca4943c"'),
    "a hash of letters": _line("sha256", '"' + "z" * 64 + '"'),
    "no hash": lambda t: re.sub(r"(?m)^sha256 = .*\n", "", t, count=1),
    "a base of itself": lambda t: t.replace("[fracture]", 'base = "."\n[fracture]', 1),
    "a base that is missing": lambda t: t.replace("[fracture]", 'base = "gone"\n[fracture]', 1),
    "a base outside": lambda t: t.replace("[fracture]", 'base = "/etc"\n[fracture]', 1),
    "a role twice": _line("roles", '["locator", "finder"]'),
    "a role of nonsense": _line("roles", '["oracle"]'),
    "no roles": _line("roles", "[]"),
    "a patch of zeros": _line("patch_zyx", "[0, 0, 0]"),
    "a negative patch": _line("patch_zyx", "[-64, 48, 48]"),
    "a patch of 10^9": _line("patch_zyx", "[1000000000, 48, 48]"),
    "a patch of two": _line("patch_zyx", "[64, 48]"),
    "spacing 0": _line("spacing_mm", "0.0"),
    "spacing NaN": _line("spacing_mm", "nan"),
    "spacing infinite": _line("spacing_mm", "inf"),
    "spacing 1e300": _line("spacing_mm", "1e300"),
    "a scale of 0": _line("hu_scale", "0.0"),
    "a scale of NaN": _line("hu_scale", "nan"),
    "a clip backwards": _line("hu_clip", "[1500.0, -1000.0]"),
    "a clip of infinity": _line("hu_clip", "[-inf, inf]"),
    "an orientation of nonsense": _line("orientation", '"XYZ"'),
    "channels of a thousand": _line("channels", "1000"),
    "a batch of 10^9": _line("max", "1000000000"),
    "a batch of minus one": _line("min", "-1"),
    "classes of nothing": _line("classes", "[]"),
    "classes of other names": _line("classes", '["a", "b"]'),
    "an activation of code": _line("activation", '"__import__(1)"'),
    "a precision of nonsense": _line("allowed", '["int1"]'),
    "a loss of NaN": _line("height_loss_suspected", "nan"),
    "a loss of 7": _line("height_loss_suspected", "7.0"),
    "an unknown key": lambda t: t.replace("[fracture]", "[fracture]\nnonsense = 1", 1),
    "a date": _line("version", "2026-01-01"),
    "networks that are a number": lambda t: t[: t.index("[[network]]")] + "\nnetwork = 5",
    "networks that are texts": lambda t: t[: t.index("[[network]]")] + '\nnetwork = ["a"]',
}

NETWORKS: dict[str, Callable[[bytes], bytes]] = {
    "a network with one bit changed": lambda c: c[:9000] + bytes([c[9000] ^ 1]) + c[9001:],
    "a network cut": lambda c: c[: len(c) // 2],
    "an empty network": lambda c: b"",
    "a network of text": lambda c: b"no network " * 99,
    "another network": lambda c: c[::-1],
}


def _nothing(_base: Base, folder: Path) -> Path:
    return folder / "no-such-set"


def _pipe(_base: Base, folder: Path) -> Path:
    import os

    (folder / "set").mkdir()
    os.mkfifo(folder / "set" / "manifest.toml")
    return folder / "set"


def cases() -> Iterator[Case]:
    yield _case("as it should be", _set(_same), Reads(like=None))
    for name, edit in MANIFESTS.items():
        yield _case(name, _set(edit), BROKEN)
    for name, network in NETWORKS.items():
        yield _case(name, _set(_same, network=network), BROKEN)
    yield _case("no set at all", _nothing, BROKEN)
    yield _case("a pipe as manifest", _pipe, BROKEN)


def _case(name: str, make: Make, *outcomes: Outcome) -> Case:
    return Case("model", name, make, outcomes, how="model")
