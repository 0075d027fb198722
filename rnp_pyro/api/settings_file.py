"""A settings file, looked at before the parser reads it: small, flat, plain YAML that names no other file."""

import codecs
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import yaml

from rnp_pyro.config import Config
from rnp_pyro.errors import UserError

LARGEST = 2**20
"""Bytes of a file that is taken seriously; one with every setting has two thousand."""

DEEPEST = 20
"""Levels of lists and groups in it."""

_BEGIN = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_END = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def check_settings_file(file: Path) -> None:
    """Refuse a file that is no settings file; one that is not there is left to the parser.

    Names that stand for other parts of the file (YAML's aliases) grow without limit when they are followed. A text in
    the place of a group of settings would be taken for the name of another file, whose text messages then show.

    Raises:
        UserError: In one line, without the file's text.
    """
    try:
        if not file.exists():
            return
        if not file.is_file():
            raise UserError(f"--config: expected a settings file, got {file}, which is a folder or a device")
        if (size := file.stat().st_size) > LARGEST:
            raise UserError(f"expected a settings file of at most {LARGEST >> 20} MiB, got {size:,} bytes in {file}")
        content = file.read_bytes()
    except (OSError, ValueError) as error:  # a name that is too long, or holds a zero byte
        if isinstance(error, UserError):
            raise
        return
    _check_encoding(content, file)
    try:
        _check_shape(content, file)
        values = yaml.safe_load(content)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = "" if mark is None else f" in line {mark.line + 1}, column {mark.column + 1}"
        raise UserError(f"expected a settings file of plain YAML, got other text{where} of {file}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # such as a date in the thirteenth month
        if isinstance(error, UserError):
            raise
        raise UserError(f"expected a settings file of plain YAML, got other text in {file}") from None
    if values is not None:
        _check_groups(values, Config, "", file)


def _check_encoding(content: bytes, file: Path) -> None:
    """Refuse what is not UTF-8."""
    try:
        content.decode("utf-8")
        encoding = "UTF-16 or UTF-32" if b"\0" in content else None
    except UnicodeDecodeError as error:
        wide = content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        encoding = "UTF-16" if wide else f"another encoding (byte {error.start} is {content[error.start]:#x})"
    if encoding is not None:
        raise UserError(f"expected a settings file in UTF-8, got {encoding} in {file}: save it as YAML in UTF-8")


def _check_shape(content: bytes, file: Path) -> None:
    """Refuse aliases and great depth, before anything is built of them."""
    depth = 0
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        depth += isinstance(event, _BEGIN) - isinstance(event, _END)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise UserError(f"expected a settings file without aliases (& and *), got one in {file}: write values out")
        if depth > DEEPEST:
            raise UserError(f"expected a settings file of at most {DEEPEST} levels, got more in {file}")


def _check_groups(values: Any, settings: type, prefix: str, file: Path) -> None:
    """Refuse anything in the place of a group of settings but names and values."""
    if not isinstance(values, dict):
        shown = "text" if isinstance(values, str) else str(values)[:60]
        where = prefix.rstrip(".") or f"config {file}"
        raise UserError(f"--{where}: expected names and values of settings, got {shown}")
    if not prefix and "config" in values:
        raise UserError(f"a settings file cannot name another one, as {file} does: give both, each with --config")
    for field in fields(settings):
        if isinstance(field.type, type) and is_dataclass(field.type) and field.name in values:
            _check_groups(values[field.name], field.type, f"{prefix}{field.name}.", file)
