"""What a figure is made of: runs to train, what is measured on them, and what is drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from rnp_pyro.api.run import Run


@dataclass(frozen=True)
class RunPlan:
    """A run, as options of ``train_svi``.

    Args:
        name: What figures call it.
        options: Of train_svi, without --run, --seed and --init.
        init: Name of the run whose weights it starts from, of the same seed.
        init_parts: What of it; empty: all.
    """

    name: str
    options: tuple[str, ...]
    init: str = ""
    init_parts: str = ""


@dataclass(frozen=True)
class Scale:
    """How much is trained, and on what.

    Args:
        name: smoke, cpu or paper.
        data: The option --data of each kind of images: mnist, omniglot, objects, clothes, pairs.
        sizes: Options that every run gets, in front of its own.
        budgets: Options for the time of each kind of run: short, half (of main), main, long.
        objects: Rows and columns of colour images.
        images: Test images that are measured.
        particles: Of bounds.
        adapt_steps: Steps of an adaptation.
        counts: Images that are adapted to; 0: all.
        judge_steps: Steps of the classifier behind distances.
        authors: The appendix's sizes in place of ours.
    """

    name: str
    data: Mapping[str, str]
    sizes: tuple[str, ...]
    budgets: Mapping[str, tuple[str, ...]]
    objects: int
    images: int
    particles: int
    adapt_steps: int
    counts: tuple[int, ...]
    judge_steps: int
    authors: bool = False

    def options(self, data: str, budget: str, *others: str) -> tuple[str, ...]:
        """Return the options of a run; a run's own come last and win."""
        return (f"--data={self.data[data]}", *self.sizes, *self.budgets[budget], *others)


Trained = Mapping[str, Sequence[Run]]
"""Runs by name, one for each seed in their order."""


@dataclass(frozen=True)
class Context:
    """What measuring may use beside the runs.

    Args:
        scale: How much.
        out: Folder of the figure's own files.
        seeds: Of the runs.
        data_dir: Folder of the public data sets.
    """

    scale: Scale
    out: Path
    seeds: tuple[int, ...]
    data_dir: str | None = None


@dataclass(frozen=True)
class Row:
    """A line of a figure's table.

    Args:
        name: What was measured on.
        values: Each number's values, one for each seed.
        note: What a reader must know.
    """

    name: str
    values: Mapping[str, Sequence[float]]
    note: str = ""


@dataclass(frozen=True)
class Made:
    """A figure with its numbers.

    Args:
        rows: Of the table.
        drawn: The figure.
        more: Other figures by name, written beside it.
        published: What the authors report, with its source; never a number of ours.
        details: Further numbers for results.json.
    """

    rows: Sequence[Row]
    drawn: Figure
    more: Mapping[str, Figure] = field(default_factory=dict)
    published: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One figure of the paper.

    Args:
        title: What it shows.
        plan: The runs that it needs at a scale.
        make: Measures and draws.
    """

    title: str
    plan: Callable[[Scale], Sequence[RunPlan]]
    make: Callable[[Trained, Context], Made]
