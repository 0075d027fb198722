"""Figures of a run: tensors in, a matplotlib Figure out.

Nothing here imports pyplot, chooses a backend or changes a global setting, so a user's own plots stay as they
are. `save` writes a figure to a file.
"""

from rnp_pyro.figures.ablation_chart import ablation
from rnp_pyro.figures.benchmark_chart import Growth, benchmark
from rnp_pyro.figures.colour import colourise
from rnp_pyro.figures.curves import training_curves
from rnp_pyro.figures.khat_plot import khat
from rnp_pyro.figures.pair_grid import reconstructions
from rnp_pyro.figures.panels import Panel, Row, panels
from rnp_pyro.figures.parse_rows import parse
from rnp_pyro.figures.posterior_rows import Moments, posterior_intervals
from rnp_pyro.figures.predictive_check import posterior_predictive
from rnp_pyro.figures.sample_grid import prior_samples
from rnp_pyro.figures.saving import save
from rnp_pyro.figures.tree_drawing import tree_drawing

__all__ = [
    "Growth",
    "Moments",
    "Panel",
    "Row",
    "ablation",
    "benchmark",
    "colourise",
    "khat",
    "panels",
    "parse",
    "posterior_intervals",
    "posterior_predictive",
    "prior_samples",
    "reconstructions",
    "save",
    "training_curves",
    "tree_drawing",
]
