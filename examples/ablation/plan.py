"""What an ablation is to train: every combination of its choices, each as the command line of one training run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import inf
from typing import get_args

from examples.ablation.config import AblateConfig
from guides import GUIDES
from inference.objectives import OBJECTIVES
from inference.training.schedule import check_schedule
from rnp_pyro.api.devices import check_precision
from rnp_pyro.api.pair import build_pair
from rnp_pyro.api.settings import config_parser, parse_config, takes
from rnp_pyro.choices import NodeLatents
from rnp_pyro.config import Config
from rnp_pyro.data import ImageData
from rnp_pyro.errors import UserError
from rnp_pyro.seeds import check_seed

OWN = {
    "--guide.name": "guides",
    "--train.objective": "objectives",
    "--model.node_latents": "node_latents",
    "--seed": "seeds",
    "--train.minutes": "minutes",
    "--train.steps": "minutes",
    "--train.epochs": "minutes",
    "--train.schedule": "minutes",
    "--run": "out",
    "--data": "data",
}
"""Options of a training run that the ablation has options of its own for."""


@dataclass(frozen=True)
class Choices:
    """The lists whose combinations are trained.

    Args:
        guides: Names.
        objectives: Names.
        node_latents: Which nodes are random.
        seeds: Each variant is trained once with each.
        minutes: Of each run.
    """

    guides: tuple[str, ...]
    objectives: tuple[str, ...]
    node_latents: tuple[str, ...]
    seeds: tuple[int, ...]
    minutes: float


PRESETS = {
    "quick": Choices(("resnet", "full_rank", "flow", "ladder"), ("elbo",), ("none", "both"), (0, 1), 1.0),
    "guides": Choices(("resnet", "full_rank", "flow", "ladder"), ("elbo",), ("none", "both"), (0, 1, 2), 5.0),
}
"""The lists to start from."""

ROOT_GUIDES = ("full_rank", "flow")
"""Left out of a preset where nodes are random: they differ from resnet at the root alone, which ``none`` shows."""


@dataclass(frozen=True)
class Variant:
    """One row of the table: its choices, apart from the seed.

    Args:
        name: Of its runs' directories, with the seed.
        choices: What was chosen, by the table's columns.
        arguments: The command line that trains it, without seed and directory.
    """

    name: str
    choices: dict[str, str]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What to train.

    Args:
        variants: To be trained with each seed.
        left_out: Names of the combinations that do not fit, each with the reason.
        seeds: Of the runs.
    """

    variants: tuple[Variant, ...]
    left_out: tuple[str, ...]
    seeds: tuple[int, ...]


def make_plan(config: AblateConfig, data: ImageData) -> Plan:
    """Combine the choices; combinations that do not fit are left out, with the reason.

    Raises:
        UserError: If a setting is unknown, or nothing is left.
    """
    choices = _choices(config)
    shared = tuple(f"--{_field(one)}={_values(one)}" for one in config.set or [])
    varied = [(_field(one), _cut(_values(one))) for one in config.vary or []]
    _check_once([_field(one) for one in config.set or []] + [field for field, _ in varied])
    for field, values in varied:
        if len(set(values)) < len(values):
            raise UserError(f"--vary must name each value once, got {field}={','.join(values)}")
    variants, left_out = [], []
    for guide, objective, nodes, *rest in product(
        choices.guides, choices.objectives, choices.node_latents, *(values for _, values in varied)
    ):
        chosen = {"guide": guide, "objective": objective, "node latents": nodes}
        chosen |= {field: value for (field, _), value in zip(varied, rest, strict=True)}
        name = "_".join(str(part).replace("/", "-") for part in chosen.values())
        own = tuple(f"--{field}={value}" for (field, _), value in zip(varied, rest, strict=True))
        arguments = (*_arguments(config, choices, guide, objective, nodes), *shared, *own)
        try:
            if config.guides is None and nodes != "none" and guide in ROOT_GUIDES:
                raise UserError("its nodes follow the prior, as resnet's do: name it with --guides to have it")
            _check_run(read(config.base, arguments), data)
        except UserError as error:
            left_out.append(f"{name}: {error}")
            continue
        variants.append(Variant(name, chosen, arguments))
    if not variants:
        raise UserError("none of the combinations fits: " + "; ".join(left_out))
    return Plan(tuple(variants), tuple(left_out), choices.seeds)


def _arguments(config: AblateConfig, choices: Choices, guide: str, objective: str, nodes: str) -> tuple[str, ...]:
    """Return the options of a training run that the ablation sets itself."""
    return (
        f"--data={config.data}",
        f"--guide.name={guide}",
        f"--train.objective={objective}",
        f"--model.node_latents={nodes}",
        f"--train.minutes={choices.minutes}",
        f"--train.checkpoint_minutes={choices.minutes / 10}",
    )


def _check_run(config: Config, data: ImageData) -> None:
    """Refuse a run as train_svi would, before anything is written."""
    check_precision(config.fabric)
    check_schedule(config.train)
    build_pair(config, data.image_shape)


def read(base: str, arguments: Sequence[str]) -> Config:
    """Read one run's settings, as train_svi would."""
    return parse_config(config_parser("train_svi", ""), ["--preset", base, *arguments])[0]


def _choices(config: AblateConfig) -> Choices:
    """Fill in the preset's lists where the user gave none."""
    if config.preset not in PRESETS:
        raise UserError(f"--preset: expected one of {', '.join(PRESETS)}, got {config.preset}")
    start = PRESETS[config.preset]
    minutes = start.minutes if config.minutes is None else config.minutes
    if not 0 < minutes < inf:
        raise UserError(f"--minutes must be above 0 and finite, got {minutes:g}")
    lists = {name: getattr(config, name) for name in ("guides", "objectives", "node_latents", "seeds")}
    for name, values in lists.items():
        if values is not None and (not values or len(set(values)) < len(values)):
            raise UserError(f"--{name} must name one or more, each once, got {values}")
    for seed in lists["seeds"] or ():
        check_seed("--seeds", seed)
    for name, known in (("guides", GUIDES), ("objectives", OBJECTIVES), ("node_latents", get_args(NodeLatents))):
        for value in lists[name] or ():
            if value not in known:
                raise UserError(f"--{name}: expected some of {', '.join(known)}, got {value}")
    given = {name: tuple(values) for name, values in lists.items() if values is not None}
    return replace(start, minutes=minutes, **given)


def _check_once(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{name} is given twice with --set and --vary: once is enough")


def _field(text: str) -> str:
    field, sign, values = text.partition("=")
    if not sign or not field or not values:
        raise UserError(f"expected FIELD=VALUE with --vary or --set, such as model.latent_size=16,32, got {text}")
    for option, own in OWN.items():
        if takes(option, [f"--{field}"]):
            raise UserError(f"{field} is not for --vary or --set: expected --{own}")
    return field


def _values(text: str) -> str:
    return text.partition("=")[2]


def _cut(text: str) -> list[str]:
    """Cut at commas outside brackets."""
    parts, depth = [""], 0
    for mark in text:
        depth += (mark in "[(") - (mark in "])")
        if mark == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += mark
    return parts
