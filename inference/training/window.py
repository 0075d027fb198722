"""What a row of metrics averages."""


class Window:
    """Running means of per-step numbers since the last row of metrics."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def add(self, **values: float) -> None:
        """Add one step's numbers."""
        self.count += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Return each number's mean, to six significant digits."""
        return {name: float(f"{value / self.count:.6g}") for name, value in self.sums.items()}
