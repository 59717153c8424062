"""Replies that are known but for their order, or for the form that a protocol gives them."""

from collections.abc import Iterable
from typing import Any


def plain(value: Any) -> Any:
    """Replies in one form, whichever protocol they came in."""
    if isinstance(value, dict):
        return [plain(part) for pair in value.items() for part in pair]
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if isinstance(value, Exception):
        return f"error {value}"
    return value.encode() if isinstance(value, str) else value


class Want:
    """A reply that `matches` those it stands for."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def matches(self, got: Any) -> bool:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.value!r})"


class Members(Want):
    """Elements in any order."""

    def matches(self, got: Any) -> bool:
        return isinstance(got, list) and sorted(map(repr, got)) == sorted(map(repr, plain(self.value)))


class OneOf(Want):
    """Any of several; a null if there are none."""

    def matches(self, got: Any) -> bool:
        return got in self.value if self.value else got is None


class Fields(Want):
    """Pairs in any order."""

    def matches(self, got: Any) -> bool:
        return isinstance(got, list) and dict(zip(got[::2], got[1::2], strict=True)) == self.value


class ErrorWith(Want):
    """An error with these words in it: the rest is told otherwise by another release."""

    def matches(self, got: Any) -> bool:
        return isinstance(got, str) and got.startswith("error ") and self.value in got


class Number(Want):
    """A number, told as one or as its digits; maybe about the same."""

    def __init__(self, value: float, tolerance: float = 0.0) -> None:
        super().__init__(value)
        self.tolerance = tolerance

    def matches(self, got: Any) -> bool:
        if not isinstance(got, bytes | int | float):
            return False
        return abs(float(got) - self.value) <= self.tolerance


class Scored(Want):
    """Members with their scores, in order."""

    def matches(self, got: Any) -> bool:
        if not isinstance(got, list):
            return False
        flat = [part for item in got for part in (item if isinstance(item, list) else [item])]
        return [(m, float(s)) for m, s in _pairs(flat)] == [(m, float(s)) for m, s in self.value]


def _pairs(flat: list[Any]) -> Iterable[tuple[Any, Any]]:
    return zip(flat[::2], flat[1::2], strict=True)
