"""A run written into a folder, to keep or to give away."""

from dataclasses import replace
from pathlib import Path

from rnp_pyro.api.card import CARD, model_card
from rnp_pyro.api.pair import Pair
from rnp_pyro.api.record import DataRecord, write_record
from rnp_pyro.api.settings import write_settings
from rnp_pyro.api.whereabouts import brief_data, without_places
from rnp_pyro.checkpoint import CONFIG, SUMMARY, WEIGHTS, read_object, save_weights, write_json, write_text
from rnp_pyro.config import Config
from rnp_pyro.writing import writing


def write_run(config: Config, record: DataRecord, pair: Pair, path: Path | None, folder: Path, half: bool) -> None:
    """Write a run's files and a model card into a folder that exists; nothing in them tells of this machine.

    Args:
        config: Its settings.
        record: What it keeps of its images.
        pair: Model and guide.
        path: The run's own folder, for the numbers of its test split; None: it is in memory only.
        folder: Where to.
        half: Keep weights in half precision.

    Raises:
        UserError: If the guide is one that settings cannot name, or the folder cannot be written to.
    """
    pair.check_nameable()
    config, record = without_places(config), replace(record, name=brief_data(record.name))
    with writing(folder):
        write_settings(config, folder / CONFIG)
        write_record(record, folder)
        save_weights(pair.modules, folder / WEIGHTS, half)
        write_text(folder / CARD, model_card(config, record, path, half))
        if path is not None and (path / SUMMARY).is_file():
            write_json(folder / SUMMARY, {**read_object(path / SUMMARY), "data": record.name})
