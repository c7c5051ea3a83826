"""Both languages say everything, and nothing in the table is left unused."""

import re
import string
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from vfx_edge.outputs.vertebra_status import Status
from vfx_edge.outputs.wording import UnknownLanguage, Wording
from vfx_edge.reading.stack import WINDOWS_HU
from vfx_edge.scoring.readings import ANSWERS
from vfx_edge.study import Tier
from vfx_edge.vocabulary import LANGUAGES, STAGES, STAGES_ON_REQUEST, Reason

PACKAGE = files("vfx_edge.outputs")
TABLE = tomllib.loads(PACKAGE.joinpath("wording.toml").read_text(encoding="utf-8"))
ENTRIES = [
    (section, name, words) for section, names in TABLE.items() for name, words in names.items()
]


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages() -> None:
    for section, name, words in ENTRIES:
        expected = {"de"} if section == "recommendation" else set(LANGUAGES)
        assert set(words) == expected, name
        assert all(text.strip() == text and text for text in words.values()), name
        assert len({frozenset(_fields(text)) for text in words.values()}) == 1, name


def test_every_name_of_the_vocabulary_has_words_and_no_other() -> None:
    assert TABLE["reason"].keys() == {*Reason}
    assert TABLE["stage"].keys() == {*STAGES, *STAGES_ON_REQUEST, "total"}


def test_every_status_and_tier_has_words() -> None:
    for status in Status:
        assert {status.value} <= TABLE["status"].keys() & TABLE["legend"].keys()
    for tier in Tier:
        assert {tier.value} <= TABLE["verdict"].keys() & TABLE["recommendation"].keys()


def test_what_the_code_asks_for_is_there_and_nothing_else() -> None:
    others = ("vfx_edge.service.web", "vfx_edge.reading")
    rooms = [Path(str(PACKAGE)), *(Path(str(files(other))) for other in others)]
    sources = [f for room in rooms for f in room.rglob("*") if f.suffix in (".py", ".j2")]
    text = "\n".join(f.read_text(encoding="utf-8") for f in sources)
    asked = set(re.findall(r"""["']([a-z_]+\.[A-Za-z_]+)["']""", text))
    asked = {key for key in asked if key.split(".")[0] in TABLE}
    missing = {key for key in asked if key.split(".")[1] not in TABLE[key.split(".")[0]]}
    assert not missing
    by_name = {"verdict", "recommendation", "status", "legend", "reason", "stage", "orientation"}
    by_name |= {"intended_use", "notice", "view", "suspicion", "sign", "sign_reason"}
    fixed = {f"{s}.{n}" for s, n, _ in ENTRIES if s not in by_name}
    used = asked | {"card.p_malignant", "card.p_osteoporotic"}
    used |= {f"card.part_{reader}" for reader in ("network", "tabular", "fusion")}
    used |= {f"list.{state}" for state in ("failed", "running", "retry", "waiting", "receiving")}
    used |= {f"reading.{name}" for name in (*ANSWERS, *WINDOWS_HU)}
    assert fixed - used == set()


def test_numbers_are_written_as_the_language_writes_them() -> None:
    assert Wording("en").number(1.25, 2) == "1.25"
    assert Wording("de").number(1.25, 2) == "1,25"
    assert Wording("de").percent(0.385) == "38 %"


def test_reasons_in_words_and_unknown_ones_as_they_are() -> None:
    assert Wording("de").reason("truncated") == "vom Bildrand abgeschnitten"
    assert Wording("en").reason("Spacing too coarse") == "slices too far apart to measure heights"
    assert Wording("en").reason("the dog ate it") == "the dog ate it"


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UnknownLanguage, match="choose one of en, de"):
        Wording("fr")
