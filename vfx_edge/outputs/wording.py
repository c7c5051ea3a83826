"""What people read, in their language: one data file, both languages side by side."""

import tomllib
from functools import cache
from importlib.resources import files

from vfx_edge.errors import OutputError
from vfx_edge.vocabulary import LANGUAGES


class UnknownLanguage(OutputError):
    """There is no wording in that language."""

    def __init__(self, language: str) -> None:
        super().__init__(
            f"There is no report in language '{language}'; choose one of {', '.join(LANGUAGES)} "
            "with --language."
        )


@cache
def _table() -> dict[str, dict[str, dict[str, str]]]:
    text = files("vfx_edge.outputs").joinpath("wording.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


class Wording:
    """The words of one language."""

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise UnknownLanguage(language)
        self.language = language

    def __call__(self, key: str, **facts: object) -> str:
        """The wording of "section.name"; {facts} are filled in. KeyError if there is none."""
        section, name = key.split(".", 1)
        words = _table()[section][name][self.language]
        return words.format(**facts) if facts else words

    def known(self, section: str, name: str) -> str | None:
        """The wording, or None where the name comes from outside and is not in the table."""
        entry = _table()[section].get(name)
        return None if entry is None else entry[self.language]

    def reason(self, reason: str) -> str:
        """A reason's code in words; a reason that already is a sentence stays as it is."""
        code = reason.strip().lower().replace(" ", "_").replace("-", "_")
        return self.known("reason", code) or reason

    def number(self, value: float, digits: int = 1) -> str:
        """With the language's decimal mark."""
        text = f"{value:.{digits}f}"
        return text.replace(".", ",") if self.language == "de" else text

    def percent(self, value: float) -> str:
        """0..1 -> whole percent."""
        return f"{self.number(value * 100, 0)} %"
