"""Reading a TOML table with a type, a range and a sentence for everything that is wrong."""

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vfx_edge.errors import ModelError

MAX_MANIFEST_BYTES = 1 << 20


class ManifestInvalid(ModelError):
    """A manifest says something that can't be understood or can't be right."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}: correct the manifest or reinstall the model set")


class Table:
    """One table of a manifest; remembers what was read so that a misspelt key is found.

    Every getter raises ManifestInvalid when the key is absent without a default, has another
    type, or is out of range.
    """

    def __init__(self, values: dict[str, Any], where: str, path: Path) -> None:
        self._values = values
        self._read: set[str] = set()
        self.where = where
        self.path = path

    def invalid(self, what: str) -> ManifestInvalid:
        """The error for something wrong in this table."""
        return ManifestInvalid(self.path, f"in {self.where}, {what}" if self.where else what)

    def finish(self) -> None:
        """Refuse keys that nobody asked for: most are misspelt ones."""
        for key in self._values:
            if key not in self._read:
                raise self.invalid(f"'{key}' is unknown (known: {', '.join(sorted(self._read))})")

    def _get(self, key: str, default: Any = None) -> Any:
        self._read.add(key)
        value = self._values.get(key, default)
        if value is None:
            raise self.invalid(f"'{key}' is missing")
        return value

    def is_list(self, key: str) -> bool:
        """Whether the key holds several values."""
        return isinstance(self._values.get(key), list)

    def has(self, key: str) -> bool:
        """Whether the key is there at all."""
        return key in self._values

    def text(self, key: str, default: str | None = None) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self.invalid(f"'{key}' must be a string")
        if not value.strip() and default is None:
            raise self.invalid(f"'{key}' is empty")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise self.invalid(f"'{key}' is '{value}' and must be one of {', '.join(choices)}")
        return value

    def texts(
        self,
        key: str,
        choices: tuple[str, ...] | None = None,
        default: tuple[str, ...] | None = None,
    ) -> tuple[str, ...]:
        values = self._list(key, default)
        if not values or not all(isinstance(value, str) for value in values):
            raise self.invalid(f"'{key}' must be a list of strings")
        if len(set(values)) != len(values):
            raise self.invalid(f"'{key}' names something twice")
        for value in values:
            if choices and value not in choices:
                raise self.invalid(f"'{key}' holds '{value}', known are {', '.join(choices)}")
        return tuple(values)

    def number(
        self,
        key: str,
        default: float | None = None,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> float:
        if key not in self._values and default is not None:
            self._read.add(key)
            return default
        return self._in_range(key, self._get(key), low, high)

    def integer(
        self, key: str, default: int | None = None, low: int = 0, high: int = 1 << 31
    ) -> int:
        value = self._get(key, default)
        if not isinstance(value, int):
            raise self.invalid(f"'{key}' must be a whole number")
        return int(self._in_range(key, value, low, high))

    def numbers(
        self,
        key: str,
        count: int | None = None,
        default: tuple[float, ...] | None = None,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> tuple[float, ...]:
        values = self._list(key, default, count)
        return tuple(self._in_range(key, value, low, high) for value in values)

    def integers(
        self,
        key: str,
        count: int,
        default: tuple[int, ...] | None = None,
        low: int = 0,
        high: int = 1 << 31,
    ) -> tuple[int, ...]:
        values = self._list(key, default, count)
        if not all(isinstance(value, int) for value in values):
            raise self.invalid(f"'{key}' must hold whole numbers")
        return tuple(int(self._in_range(key, value, low, high)) for value in values)

    def number_or(self, key: str, word: str) -> float | None:
        """A number, or None where the word stands."""
        return None if self._get(key) == word else self.number(key)

    def table(self, key: str, optional: bool = False) -> "Table":
        value = self._get(key, {} if optional else None)
        if not isinstance(value, dict):
            raise self.invalid(f"'{key}' must be a table")
        return Table(value, f"{self.where} [{key}]".strip(), self.path)

    def tables(self, key: str) -> tuple["Table", ...]:
        values = self._get(key, ())
        if not isinstance(values, list | tuple) or not all(isinstance(v, dict) for v in values):
            raise self.invalid(f"'{key}' must be [[{key}]] tables")
        return tuple(
            Table(value, f"[[{key}]] '{value.get('name', number)}'", self.path)
            for number, value in enumerate(values, 1)
        )

    def free(self, key: str) -> Mapping[str, Any]:
        """A table whose keys others know; read-only, empty when absent."""
        return MappingProxyType(dict(self.table(key, optional=True)._values))

    def _list(self, key: str, default: Any = None, count: int | None = None) -> list[Any]:
        values = self._get(key, default)
        if not isinstance(values, list | tuple):
            raise self.invalid(f"'{key}' must be a list")
        if count is not None and len(values) != count:
            raise self.invalid(f"'{key}' must hold {count} values")
        return list(values)

    def _in_range(self, key: str, value: Any, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.invalid(f"'{key}' must be a number")
        if not math.isfinite(value):
            raise self.invalid(f"'{key}' must be finite")
        if not low <= value <= high:
            raise self.invalid(f"'{key}' is {value:g}, outside {low:g} to {high:g}")
        return float(value)


def read_toml(path: Path) -> Table:
    """The top table of a manifest file; ManifestInvalid when it can't be read."""
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise ManifestInvalid(path, "it is larger than a manifest ever is")
        return Table(tomllib.loads(path.read_text(encoding="utf-8")), "", path)
    except OSError as error:
        raise ManifestInvalid(path, f"it can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ManifestInvalid(path, "it is not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise ManifestInvalid(path, f"it is no valid TOML ({error})") from error
