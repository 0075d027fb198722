"""Runs on the Hugging Face Hub, by its own mixin: an extra, ``pip install 'rnp-pyro[hub]'``."""

from pathlib import Path
from typing import Any

from huggingface_hub import ModelHubMixin, snapshot_download

from rnp_pyro.api.card import CARD, TAGS
from rnp_pyro.api.opening import load
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import CONFIG, RECORD, SUMMARY, WEIGHTS

FILES = (CONFIG, RECORD, SUMMARY, WEIGHTS, CARD)
"""What a run needs to open, and its card. Nothing else of a repository is downloaded."""


class HubRun(ModelHubMixin, library_name="rnp-pyro", tags=list(TAGS)):
    """A run, with the mixin's ``save_pretrained``, ``from_pretrained`` and ``push_to_hub``.

    Args:
        run: The run.
        half: Whether weights are written in half precision.
    """

    _hub_mixin_config = {"library_name": "rnp-pyro"}  # noqa: RUF012 - the mixin's; else it tries to write the run as JSON

    def __init__(self, run: Run, half: bool = False) -> None:
        self.run = run
        self.half = half

    def _save_pretrained(self, save_directory: Path) -> None:
        self.run.write(save_directory, self.half)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **kwargs: Any) -> "HubRun":
        """Download a repository's files and open them. Nothing in them is executed."""
        return cls(load(snapshot_download(model_id, allow_patterns=list(FILES), **kwargs)))
