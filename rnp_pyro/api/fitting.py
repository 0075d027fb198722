"""Train from Python: images in, a run out."""

import difflib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentError

from rnp_pyro.api.arrays import named_arrays
from rnp_pyro.api.data import IN_MEMORY, load_data
from rnp_pyro.api.opening import hash_weights
from rnp_pyro.api.pair import BuildGuide, build_pair
from rnp_pyro.api.plain_errors import plain
from rnp_pyro.api.run import Run
from rnp_pyro.api.settings import config_parser, parse_config, setting_names
from rnp_pyro.api.training import train_run
from rnp_pyro.checkpoint import WEIGHTS, is_unbegun
from rnp_pyro.config import Config
from rnp_pyro.data import ImageData, images_from_arrays
from rnp_pyro.errors import UserError

LABELS = (
    "give images and labels in one dictionary, fit({'images': images, 'labels': labels}), or as a torch data set of "
    "(image, label) pairs"
)

ELSEWHERE = {
    "data": "give the images, or a name such as 'mnist', as the first argument",
    "run": "name the folder with out=",
    "labels": LABELS,
    "label": LABELS,
    "y": LABELS,
    "target": LABELS,
    "targets": LABELS,
    "train.schedule": "replay a schedule with python -m examples.train_svi --train.schedule",
}
"""Settings of the command line that ``fit`` takes in another way."""


def fit(
    images: Any,
    *,
    test: Any = None,
    out: str | Path | None = None,
    preset: str | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    seed: int | None = None,
    guide: str | Mapping[str, Any] | BuildGuide | None = None,
    model: str | Mapping[str, Any] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Run:
    """Train a model and its guide on images; five minutes by default.

    A tenth of the images is held out for the test, and a twentieth of the rest for validation, by label where there
    are labels. Everything is a function of images, settings and seed. Neither the global generators nor Pyro's
    parameter store are touched. It trains on one device, an accelerator if there is one.

        run = rnp_pyro.fit(images, steps=500, seed=0)
        run = rnp_pyro.fit("mnist-sample", minutes=2, guide="ladder", out="runs/digits")

    Args:
        images: At least four. An array or a tensor ``[N,H,W]``, ``[N,H,W,C]`` or ``[N,C,H,W]`` of 1, 3 or 4 channels
            and any usual type, a list of such images or of PIL's, a torch data set of images or of (image, label)
            pairs, or arrays by their keys, read as ``--data array:FILE`` reads a file; or a data set's name as on the
            command line, such as ``"mnist-sample"`` or ``"folder:photos"``. Images stay as
            large as they are unless ``image_size=`` says otherwise.
        test: Images to measure the run on, as ``images``; default: a tenth of ``images``.
        out: New folder for the run, its metrics and figures; default: the run is kept in memory (see ``Run.save``).
        preset: Packaged settings to start from; default: ``"quickstart"``.
        minutes: Time to train, in minutes; default: the preset's, 5 for ``"quickstart"``.
        steps: Steps to train, in place of minutes; a step takes one batch (``train={"batch_size": ...}``).
        epochs: Passes through the training images, in place of minutes.
        seed: Of weights, batches and noise, a whole number from 0 on; default: 0.
        guide: Its name (``"ladder"``, ``"resnet"``, ``"full_rank"``, ``"flow"``), its settings as a dictionary,
            or a function that builds one of your own, ``build(config, decoder)``, which returns a ``PyroModule``
            (docs/guides.md). The run with it stays in memory.
        model: Its name (``"rnp"``, or ``"vae"`` for the flat baseline), or its settings as a dictionary.
        progress: Show a bar, in a terminal or a notebook.
        **settings: Any others by the command line's names, in groups, ``train={"batch_size": 32}``, or with dots,
            ``**{"train.batch_size": 32}``.

    Raises:
        UserError: If anything does not fit; nothing is trained or written then.
        SystemExit: If the system asked the process to end (SIGTERM and such); with ``out`` the checkpoint is kept.

    Returns:
        The run. If the user interrupted training (Ctrl-C, or a notebook's stop), it is the run as it stands after the
        last whole step, with a warning; with ``out`` its checkpoint is kept as well.
    """
    shortcuts = {"train.minutes": minutes, "train.steps": steps, "train.epochs": epochs, "seed": seed}
    given = {name: value for name, value in shortcuts.items() if value is not None}
    if isinstance(images, torch.Tensor) and images.is_meta:
        raise UserError("expected images with numbers in them, got a tensor on the meta device, which has none")
    own = _builder(guide)
    for group, choice in (("guide", None if own else guide), ("model", model)):
        if choice is not None:
            settings[group] = _group(group, choice)
    pairs = [*given.items(), *_flat(settings)]
    named = dict(pairs)
    for name in named:
        if [other for other, _ in pairs].count(name) > 1:
            raise UserError(f"{name} is given twice: once is enough")
    config = make_config(named, preset)
    data = _gather(images, test, config, resize="image_size" in named)
    if (size := data.image_shape[-1]) != config.image_size:  # canvases and patches follow the images
        config = make_config({**named, "image_size": size}, preset)
    if "fabric.devices" not in named:
        config = replace(config, fabric=replace(config.fabric, devices=1))
    config = replace(config, data=data.name, run=None if out is None else str(out))
    if out is not None and Path(out).exists() and not is_unbegun(Path(out)):
        raise UserError(
            f"{out} exists: expected a new folder as out=; name another, or go on with the run in it by rnp train "
            f"--resume {out}"
        )
    trained = train_run(
        config, data, None if out is None else Path(out), silent=not progress, build=partial(build_pair, own=own)
    )
    if trained.terminated:
        raise SystemExit(trained.exit_status)
    for line in trained.unwritten:
        print(f"warning: {line}", file=sys.stderr)
    if trained.interrupted:
        print(
            f"warning: training was interrupted at step {trained.outcome.steps}: this is the run as it stands; keep it "
            "with run.save(path)",
            file=sys.stderr,
        )
    trained.pair.modules.eval()
    trained.pair.guide.eval()
    written = trained.path is not None and (trained.path / WEIGHTS).is_file()
    weights = hash_weights(trained.path) if trained.path is not None and written else None
    return Run(trained.config, trained.record, trained.pair, trained.path, weights_hash=weights)


def _builder(guide: Any) -> BuildGuide | None:
    """Return what builds a guide of the user's own; None for one that settings name."""
    if isinstance(guide, torch.nn.Module):
        raise UserError(
            f"expected guide= to be what builds a guide, got a {type(guide).__name__} that is built: give a function "
            "build(config, decoder) that returns it, or train first and then take run.with_guide(guide)"
        )
    own: Any = guide
    return own if callable(guide) else None


def _group(name: str, choice: Any) -> Mapping[str, Any]:
    """Return a group's settings, of which the name may stand for all."""
    if isinstance(choice, str):
        return {"name": choice}
    if isinstance(choice, Mapping):
        return choice
    own = ", or a function build(config, decoder)" if name == "guide" else ""
    raise UserError(f"expected a name or a dictionary of settings{own} as {name}=, got {type(choice).__name__}")


def make_config(values: Mapping[str, Any], preset: str | None = None) -> Config:
    """Make settings of values by their names on the command line, such as ``train.steps``.

    Raises:
        UserError: If there is no such setting or preset, or a value does not fit.
    """
    known = list(setting_names())
    for name in values:
        if name in ELSEWHERE:
            raise UserError(f"{name} is not for fit: {ELSEWHERE[name]}")
        if name not in known:
            close = _close(name, known)
            hint = f"; did you mean {close}?" if close else ": python -m examples.train_svi --help_all lists them"
            raise UserError(f"there is no setting {name}{hint}")
    arguments = [f"--{name}={_text(value)}" for name, value in values.items()]
    try:
        return parse_config(config_parser("train_svi", ""), [*([f"--preset={preset}"] if preset else []), *arguments])[
            0
        ]
    except ArgumentError as error:
        raise UserError(plain(str(error)).removeprefix("--")) from None


def _close(name: str, known: Sequence[str]) -> str | None:
    """Return what a setting's name was meant to be: one of its group, an argument of ``fit``, or the end of one."""
    inside = [one for one in known if one.endswith(f".{name}")]
    if inside:
        return inside[0]
    arguments = [one for one in signature(fit).parameters if one not in ("images", "settings")]
    ends = {one.rsplit(".", 1)[-1]: one for one in reversed(known)}
    for names in (arguments, known, ends):
        if close := difflib.get_close_matches(name, names, n=1):
            return ends[close[0]] if names is ends else close[0]
    return None


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    """Write a value as on the command line."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, np.generic | np.ndarray | torch.Tensor):
        value = value.tolist()
    try:
        return json.dumps(value)
    except TypeError:
        raise UserError(f"expected a number, a text or a list as a setting, got {type(value).__name__}") from None


def _gather(images: Any, test: Any, config: Config, resize: bool) -> ImageData:
    """Turn what the user gave into a data set, divided as the commands divide theirs."""
    if isinstance(images, str | Path):
        if test is not None:
            raise UserError(f"{images} has test images of its own: leave test= out")
        name = f"folder:{images}" if isinstance(images, Path) else images
        return load_data(replace(config, data=name), trained=False)
    size = config.image_size if resize else None
    return images_from_arrays(
        named_arrays(images, test), name=IN_MEMORY, image_size=size, invert=config.invert, white=config.white
    )
