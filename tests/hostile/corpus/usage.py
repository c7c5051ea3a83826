"""Words of the command that make no sense: exit code 2, or 6 where nothing can be written."""

from collections.abc import Iterator
from pathlib import Path

from tests.hostile.corpus.case import Base, Case, Refused

WRONG = Refused(".", code=2)
WORDS: dict[str, tuple[str, ...]] = {
    "no command": ("nonsense",),
    "no path": ("run",),
    "two paths": ("run", "a", "b"),
    "an option of nonsense": ("run", "{in}", "--nonsense"),
    "an option without a value": ("run", "{in}", "--backend"),
    "a backend of nonsense": ("run", "{in}", "--backend", "quantum"),
    "an empty backend": ("run", "{in}", "--backend", ""),
    "a task of nonsense": ("run", "{in}", "--task", "cook"),
    "outputs of nonsense": ("run", "{in}", "--outputs", "json,exe"),
    "no outputs": ("run", "{in}", "--outputs", ","),
    "levels of nonsense": ("run", "{in}", "--levels", "T1-Z9"),
    "levels backwards": ("run", "{in}", "--levels", "L5-T1"),
    "levels of 10,000 letters": ("run", "{in}", "--levels", "L" * 10_000),
    "classify of nonsense": ("run", "{in}", "--classify", "some"),
    "a shift that is no number": ("run", "{in}", "--shift-levels", "one"),
    "an anchor without height": ("run", "{in}", "--anchor", "L5"),
    "an anchor of NaN": ("run", "{in}", "--anchor", "L5=nan"),
    "an anchor of infinity": ("run", "{in}", "--anchor", "L5=inf"),
    "an anchor of no level": ("run", "{in}", "--anchor", "Q1=5"),
    "shift and anchor": ("run", "{in}", "--shift-levels", "1", "--anchor", "L5=0"),
    "quiet and verbose": ("run", "{in}", "--quiet", "--verbose"),
    "a language of nonsense": ("run", "{in}", "--language", "tlh"),
    "a terminal's commands": ("run", "{in}", "--backend", "\x1b[2J\x1b]0;x\x07"),
    "a surrogate": ("run", "{in}", "--backend", "\udcff"),
    "a phantom of nonsense": ("phantom", "{out}", "--fracture", "L1:banana:2"),
    "a phantom of minus one slice": ("phantom", "{out}", "--slices", "-1"),
    "a phantom of 10^9 slices": ("phantom", "{out}", "--slices", "1000000000"),
    "a phantom of NaN": ("phantom", "{out}", "--spacing", "nan"),
    "a phantom of infinity": ("phantom", "{out}", "--scoliosis", "inf"),
    "a phantom of levels backwards": ("phantom", "{out}", "--levels", "L5-T1"),
    "models of nonsense": ("models", "nonsense"),
}
NOWHERE: dict[str, tuple[str, ...]] = {
    "out is a file": ("run", "{in}", "--out", "{file}"),
    "out is below a file": ("run", "{in}", "--out", "{file}/below"),
    "out is a device": ("run", "{in}", "--out", "/dev/null"),
    "out is 8,000 letters long": ("run", "{in}", "--out", "{out}" + "n" * 8000),
}


def _make(base: Base, folder: Path) -> Path:
    (folder / "file").write_text("in the way")
    return base.folder


def cases() -> Iterator[Case]:
    for name, words in WORDS.items():
        yield Case("usage", name, _make, (WRONG,), how="usage", words=words)
    for name, words in NOWHERE.items():
        yield Case("usage", name, _make, (Refused(".", code=6),), how="usage", words=words)
