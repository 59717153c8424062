"""Tables for people."""

from collections.abc import Sequence


def render(headings: Sequence[str], rows: Sequence[Sequence[str]], indent: str = "  ") -> str:
    """A table with the first column flush left and all others flush right."""
    cells = [list(headings), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    lines = [indent + _line(row, widths) for row in cells]
    lines.insert(1, indent + "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _line(row: list[str], widths: list[int]) -> str:
    rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *rest]).rstrip()


def count(value: float) -> str:
    """`1234567` as `1,234,567`."""
    return f"{value:,.0f}"


def micros(value: float) -> str:
    """Microseconds in the unit that reads best."""
    if value < 10:
        return f"{value:.1f} us"
    if value < 1000:
        return f"{value:.0f} us"
    if value < 1_000_000:
        return f"{value / 1000:.2f} ms"
    return f"{value / 1_000_000:.2f} s"


def mebibytes(value: float) -> str:
    return f"{value / (1 << 20):.1f} MiB"
