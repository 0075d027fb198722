"""How much each scale trains."""

from pathlib import Path

from examples.paper.made_data import make_data
from examples.paper.plan import Scale

TINY = (
    "--image_size=12",
    "--model.latent_size=6",
    "--model.tree.patch_size=4",
    "--model.tree.hidden_size=8",
    "--model.tree.hypernet_size=8",
    "--model.tree.hypernet_layers=3",
    "--train.batch_size=8",
    "--train.log_every=2",
    "--train.validation_images=4",
    "--fabric.accelerator=cpu",
)
PUBLIC = {
    "mnist": "mnist",
    "omniglot": "omniglot",
    "objects": "eth80",
    "clothes": "fashion-mnist-colour",
    "pairs": "digit-pairs",
}


def scale_of(name: str, out: Path) -> Scale:
    """Return a scale; smoke makes its images in the folder."""
    if name == "smoke":
        steps: dict[str, tuple[str, ...]] = dict.fromkeys(("short", "half", "main", "long"), ("--train.steps=3",))
        return Scale(name, make_data(out / "made"), TINY, steps, 12, 16, 4, 2, (1, 4), 3)
    if name == "cpu":
        # Equal minutes on equal cores: baselines get the same. docs/results.md counts the hours.
        minutes = {"short": 10, "half": 15, "main": 30, "long": 60}
        budgets = {kind: (f"--train.minutes={value}",) for kind, value in minutes.items()}
        cpu = ("--fabric.accelerator=cpu",)
        return Scale(name, PUBLIC, cpu, budgets, 48, 1000, 500, 1500, (1, 5, 20, 100, 0), 2000)
    epochs = {"short": 50, "half": 100, "main": 200, "long": 400}
    budgets = {kind: (f"--train.epochs={value}",) for kind, value in epochs.items()}
    return Scale(name, PUBLIC, (), budgets, 48, 10000, 500, 20000, (1, 5, 20, 100, 0), 10000, authors=True)
