"""Compare finished runs in pairs: python -m examples.compare_runs --first RUN ... --second RUN ...

Runs that share a seed, and so their weights at the start, batches and noise, are best compared by their differences.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

from examples.shared.cli import make_parser, run_command
from rnp_pyro.config import Config
from rnp_pyro.errors import UserError

DESCRIPTION = (
    "Compare finished runs in pairs, the first of --first with the first of --second and so on: for each number of "
    "their summaries the pairs, the mean difference (second less first) and its standard error over pairs."
)
NUMBERS = {
    "neg_elbo": "-ELBO, nats per image",
    "kl": "KL, nats per image",
    "mse": "squared error per pixel",
    "images_per_second": "images/s",
}
"""What is compared, by its key in summary.json."""


@dataclass(frozen=True)
class CompareConfig:
    """What to compare.

    Args:
        first: Run directories, two or more, their training ended.
        second: As many, in the order of their partners.
    """

    first: list[str]
    second: list[str]


@dataclass(frozen=True)
class Difference:
    """The mean difference over pairs, second less first, and its standard error."""

    mean: float
    standard_error: float


def main(config: CompareConfig) -> dict[str, Difference]:
    """Compare, and print.

    Returns:
        Each number's difference.

    Raises:
        UserError: If the runs are not pairs, or one is not a finished run.
    """
    for option, runs in (("--first", config.first), ("--second", config.second)):
        if len(runs) < 2:
            raise UserError(f"expected two or more runs with {option}, got {len(runs)}: one pair has no standard error")
    if len(config.first) != len(config.second):
        raise UserError(
            f"expected as many runs with --first as with --second, got {len(config.first)} and {len(config.second)}"
        )
    for option, runs in (("--first", config.first), ("--second", config.second)):
        _check_alike(option, runs)
    pairs = [(_read(one), _read(other)) for one, other in zip(config.first, config.second, strict=True)]
    for first, second in zip(config.first, config.second, strict=True):
        if Path(first).resolve() == Path(second).resolve():
            raise UserError(f"expected another run with --second as the partner of {first}, got the same run")
    for (one, other), name in zip(pairs, config.second, strict=True):
        differing = [key for key in ("data", "seed", "test_images") if one[key] != other[key]]
        if differing:
            raise UserError(
                f"expected partners with one {differing[0]}, got {one[differing[0]]} and {other[differing[0]]} in "
                f"{name}: name the runs in the order of their partners"
            )
    found = {key: difference([(one[key], other[key]) for one, other in pairs]) for key in NUMBERS}
    for key, text in NUMBERS.items():
        shown = ", ".join(f"{one[key]:.5g} and {other[key]:.5g}" for one, other in pairs)
        print(f"{text}: {shown}")
        print(f"  mean difference {found[key].mean:+.4g} +- {found[key].standard_error:.2g} (standard error)")
    return found


def difference(pairs: Sequence[tuple[float, float]]) -> Difference:
    """Average the differences of two or more pairs."""
    import torch  # seconds, which --help need not wait for

    from inference.estimates import standard_error

    differences = [other - one for one, other in pairs]
    return Difference(mean(differences), standard_error(torch.tensor(differences, dtype=torch.float64)))


def _check_alike(option: str, runs: Sequence[str]) -> None:
    """Refuse a side whose runs are not one thing repeated: alike in all but their seeds, and these different."""
    from rnp_pyro.api.opening import read_settings  # torch and Pyro: seconds, which --help need not wait for

    configs = [read_settings(Path(run)) for run in runs]
    seeds = [config.seed for config in configs]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"expected runs of different seeds with {option}, got {seeds}: equal runs have no spread")
    first, *others = (_settings(config) for config in configs)
    for run, other in zip(runs[1:], others, strict=True):
        for name, value in first.items():
            if other[name] != value:
                raise UserError(
                    f"expected runs that differ in their seeds alone with {option}, got {name} {value} in {runs[0]} "
                    f"and {other[name]} in {run}"
                )


def _settings(config: Config) -> dict[str, Any]:
    """Return what makes two runs one experiment: all settings but seed, paths and replayed clock."""
    same = replace(config, run=None, seed=0, data_dir=None, train=replace(config.train, schedule=None))
    return {
        f"{group}.{name}" if isinstance(values, dict) else group: value
        for group, values in asdict(same).items()
        for name, value in (values.items() if isinstance(values, dict) else [("", values)])
    }


def _read(name: str) -> dict[str, Any]:
    from rnp_pyro.checkpoint import SUMMARY, open_run, read_object

    path = open_run(Path(name)) / SUMMARY
    summary = read_object(path)
    missing = [key for key in (*NUMBERS, "data", "seed", "test_images") if key not in summary]
    if missing:
        raise UserError(f"expected {missing[0]} in {path}, found none: is it the summary of train_svi?")
    odd = [key for key in NUMBERS if not isinstance(summary[key], int | float)]
    if odd:
        raise UserError(f"expected a number as {odd[0]} in {path}, got {summary[odd[0]]!r}: the file is damaged")
    return summary


def command(arguments: Sequence[str]) -> None:
    """Read the command line and compare."""
    parser = make_parser("compare_runs", DESCRIPTION)
    options = {"--first": "two or more, their training ended", "--second": "as many, their partners in that order"}
    for option, text in options.items():
        parser.add_argument(option, nargs="+", required=True, metavar="RUN", help=f"Run directories: {text}.")
    values = parser.parse_args(list(arguments))
    main(CompareConfig(values.first, values.second))


if __name__ == "__main__":
    run_command(command)
