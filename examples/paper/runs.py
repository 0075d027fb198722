"""The runs that figures need: trained if they are not there, gone on with if they were interrupted."""

import ast
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

from examples.paper.baselines import BASELINES, builder_of
from examples.paper.plan import RunPlan, Trained
from examples.shared.parallel import Advance, run_pieces
from rnp_pyro.api.data import load_data
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.settings import config_parser, parse_config
from rnp_pyro.api.training import train_run
from rnp_pyro.checkpoint import CHECKPOINT, SUMMARY, WEIGHTS
from rnp_pyro.config import Config
from rnp_pyro.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
MATTERS = (
    "rnp_pyro/*.py",
    "rnp_pyro/fast",
    "rnp_pyro/patches",
    "models",
    "guides",
    "flows",
    "inference/objectives",
    "inference/training",
)
"""What a trained weight depends on. Documentation and comments do not count."""


@dataclass(frozen=True)
class Planned:
    """A run with its seed, and where it is or will be.

    Args:
        name: What figures call it.
        seed: Its own.
        config: Its settings.
        path: Its folder, whose name holds a hash of settings and code.
    """

    name: str
    seed: int
    config: Config
    path: Path

    @property
    def stands(self) -> bool:
        """Whether it is trained."""
        return all((self.path / file).is_file() for file in (WEIGHTS, SUMMARY))


@cache
def code_version(baseline: str = "") -> str:
    """Return a hash of the code that trained weights depend on, without its documentation.

    Args:
        baseline: A name in ``BASELINES``, whose file counts too.
    """
    found = hashlib.sha256()
    for pattern in (*MATTERS, f"examples/paper/baselines/{baseline}.py") if baseline else MATTERS:
        files = ROOT.glob(pattern) if pattern.endswith(".py") else (ROOT / pattern).rglob("*.py")
        for file in sorted(files):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                body = getattr(node, "body", None)
                if isinstance(body, list):
                    node.body = [one for one in body if not _is_text(one)]  # type: ignore[attr-defined]
            found.update(ast.dump(tree).encode())
    return found.hexdigest()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def planned(plans: Sequence[RunPlan], seeds: Sequence[int], folder: Path, data_dir: str | None) -> list[Planned]:
    """Read the settings of runs for each seed, those first that others start from."""
    parser, found, places = config_parser("train_svi", ""), dict[tuple[str, int], Planned](), dict[str, Path]()
    for plan in plans:
        config, _, _ = parse_config(parser, [*plan.options, *([f"--data_dir={data_dir}"] if data_dir else [])])
        code = code_version(config.model.name if config.model.name in BASELINES else "")
        for seed in seeds:
            source = found[plan.init, seed].path if plan.init else None
            told = {**asdict(config), "data_dir": None, "seed": seed, "init": source and source.name[-10:]}
            text = json.dumps([told, plan.init_parts, code], sort_keys=True)
            key = hashlib.sha256(text.encode()).hexdigest()[:10]
            # Two figures may name one run differently: it is trained once.
            path = places.setdefault(key, next(folder.glob(f"*-{key}"), folder / f"{plan.name}-seed{seed}-{key}"))
            own = replace(
                config,
                seed=seed,
                run=str(path),
                init=None if source is None else str(source),
                init_parts=plan.init_parts or None,
            )
            found[plan.name, seed] = Planned(plan.name, seed, own, path)
    return list(found.values())


def train_all(runs: Sequence[Planned], jobs: int) -> None:
    """Train the runs that do not stand, several side by side; those that others start from first.

    Raises:
        KeyboardInterrupt: If the user stopped; what was trained is kept, and the same command goes on from there.
    """
    waiting = list({one.path: one for one in runs if not one.stands}.values())
    for number, one in enumerate(waiting, start=1):
        print(f"to train, {number} of {len(waiting)}: {one.path.name}", flush=True)
    while waiting:
        sources = {str(one.path) for one in waiting}
        ready = [one for one in waiting if one.config.init not in sources]
        for name, finished in run_pieces(train_one, ready, jobs, lambda share: None):
            if not finished:
                raise KeyboardInterrupt
            print(f"trained: {name}", flush=True)
        waiting = [one for one in waiting if one not in ready]


def train_one(one: Planned, advance: Advance) -> tuple[str, bool]:
    """Train a run, or what is left of it; return its name and whether it has ended."""
    path = one.path
    if path.is_dir() and not (path / CHECKPOINT).is_file():
        shutil.rmtree(path)  # stopped before its first checkpoint: nothing was trained yet
    resume = path.is_dir()
    data, build = load_data(one.config, trained=resume), builder_of(one.config)
    trained = train_run(one.config, data, path, resume=resume, silent=True, build=build)
    advance(1.0)
    return path.name, not trained.interrupted


def opened(runs: Sequence[Planned], names: Sequence[str]) -> Trained:
    """Open the runs that a figure needs, by name, one for each seed."""
    found: Mapping[str, list] = {
        name: [open_trained(one.path, build=builder_of(one.config)) for one in runs if one.name == name]
        for name in names
    }
    missing = [name for name, some in found.items() if not some]
    if missing:
        raise UserError(f"expected runs {', '.join(missing)}, found none")
    return found
