"""Latency counts in buckets of less than 1 % width."""

from collections.abc import Sequence

_SUB_BITS = 7
_SUB = 1 << _SUB_BITS


def bucket_of(value: int) -> int:
    """The bucket of a value in any unit; exact below 256."""
    shift = max(0, value.bit_length() - _SUB_BITS - 1)
    return (shift << _SUB_BITS) + (value >> shift)


def value_of(bucket: int) -> float:
    """The middle of a bucket."""
    if bucket < 2 * _SUB:
        return float(bucket)
    shift = (bucket >> _SUB_BITS) - 1
    low = (bucket - (shift << _SUB_BITS)) << shift
    return low + (1 << shift) / 2


class Histogram:
    """Counts of values; microseconds unless the owner says otherwise."""

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        self.counts: dict[int, int] = counts or {}
        self.max = 0

    def add(self, value: int) -> None:
        bucket = bucket_of(value)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        if value > self.max:
            self.max = value

    def merge(self, other: "Histogram") -> None:
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.max = max(self.max, other.max)

    def count(self) -> int:
        return sum(self.counts.values())

    def percentile(self, percent: float) -> float:
        """The smallest value that at least `percent` of the values do not exceed; 0 if none."""
        wanted = self.count() * percent / 100
        seen = 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= wanted:
                return min(value_of(bucket), float(self.max))
        return 0.0

    def summary(self) -> dict[str, float]:
        return {
            "count": self.count(),
            "p50": self.percentile(50),
            "p99": self.percentile(99),
            "p99.9": self.percentile(99.9),
            "max": float(self.max),
        }

    def dump(self) -> dict[str, object]:
        return {"max": self.max, "counts": list(self.counts.items())}

    @classmethod
    def load(cls, dumped: dict) -> "Histogram":
        histogram = cls({int(bucket): int(count) for bucket, count in dumped["counts"]})
        histogram.max = int(dumped["max"])
        return histogram


def exact_summary(values: Sequence[float]) -> dict[str, float]:
    """As `Histogram.summary`, of values few enough to keep."""
    ordered = sorted(values) or [0.0]

    def percentile(percent: float) -> float:
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]

    return {
        "count": len(values), "p50": percentile(50), "p99": percentile(99),
        "p99.9": percentile(99.9), "max": ordered[-1],
    }
