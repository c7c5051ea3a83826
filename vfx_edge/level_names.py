"""What people and programs call vertebrae: "L1", "vertebrae_L1", "LWK3", "Th12", "D12".

A name must say one vertebra and nothing else: a disc, a rib or "L1-L2" names none.
"""

import re

from vfx_edge.vocabulary import COCCYX, SACRUM, Level

_REGIONS = {
    "C": "c|hwk|hw|cervical|halswirbel|halswirbelkorper|cervicale",
    "T": "t|th|d|bwk|bw|thoracic|dorsal|brustwirbel|brustwirbelkorper|thoracique|dorsale",
    "L": "l|lwk|lw|lumbar|lendenwirbel|lendenwirbelkorper|lombaire",
    "S": "s|swk|sacral",
}
_REGION = {word: region for region, words in _REGIONS.items() for word in words.split("|")}
_ORDINALS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"),
    *("tenth", "eleventh", "twelfth", "thirteenth"),
)
_BESIDE = frozenset(
    (
        *("vertebra", "vertebrae", "vertebral", "vertebre", "vert", "wirbel", "wirbelkorper"),
        *("body", "corpus", "arch", "posterior", "elements", "whole", "bone", "spine", "structure"),
        *("segment", "seg", "segmentation", "mask", "label", "level", "of", "the"),
        *("corrected", "edited", "final", "new", "copy"),
    )
)
_WHOLE_WORDS = {
    **dict.fromkeys(("sacrum", "kreuzbein", "os sacrum"), SACRUM),
    **dict.fromkeys(("coccyx", "steissbein", "cocygis", "os coccygis"), COCCYX),
    "atlas": Level.C1.verse,
    "axis": Level.C2.verse,
}
_VERSE = re.compile(r"(?:(?:vertebrae?|verse|label)[ _-]?)?0?(\d{1,2})", re.IGNORECASE)
_UMLAUTS = str.maketrans({"ö": "o", "ß": "ss", "è": "e", "é": "e"})


def vertebra_label(name: str) -> int | None:
    """The VerSe label that a segment's name stands for; None where it names no one vertebra."""
    text = name.casefold().translate(_UMLAUTS).replace("oe", "o")[:100]
    words = re.findall(r"[a-z]+|\d+", text)
    if re.search(r"\d\s*[-/+&]\s*(?:[a-z]{0,3})\d|\d\.\d", text):
        return None  # "L1-L2", "L1/2": what lies between, or several
    kept = [word for word in words if word not in _BESIDE]
    if " ".join(kept) in _WHOLE_WORDS:
        return _WHOLE_WORDS[" ".join(kept)]
    regions = {_REGION[word] for word in kept if word in _REGION}
    numbers = {number for word in kept if (number := _number(word)) is not None}
    known = all(word in _REGION or _number(word) is not None for word in kept)
    if not known or len(regions) != 1 or len(numbers) != 1:
        return None
    return _label(f"{regions.pop()}{numbers.pop()}")


def _number(word: str) -> int | None:
    if word.isdigit():
        return int(word)
    return _ORDINALS.index(word) + 1 if word in _ORDINALS else None


def _label(name: str) -> int | None:
    if name == "S1":
        return SACRUM
    return Level(name).verse if name in set(Level) else None


def class_level(name: str) -> Level | None:
    """The level that the name of a network's class means; beside what `vertebra_label` knows, a
    number is VerSe's: "20", "label_20". None where it means none, such as "sacrum"."""
    number = _VERSE.fullmatch(name.strip())
    label = int(number[1]) if number else vertebra_label(name)
    return Level.from_verse(label) if label in {level.verse for level in Level} else None
