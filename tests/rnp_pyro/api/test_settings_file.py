"""Settings files that are none: one line, and never the text of another file."""

from pathlib import Path

import pytest

from rnp_pyro.api.settings import config_parser, parse_config, write_settings
from rnp_pyro.api.settings_file import check_settings_file
from rnp_pyro.config import Config
from rnp_pyro.errors import UserError


@pytest.mark.parametrize(
    "content", ["model: {other}\n", "model: {{tree: {other}}}\n", "train: {other}\n", "config: {other}\n"]
)
def test_the_text_of_another_file_is_not_printed(tmp_path: Path, content: str):
    other, mine = tmp_path / "other.txt", tmp_path / "mine.yaml"
    other.write_text("secret\n")
    mine.write_text(content.format(other=other))
    with pytest.raises(UserError) as error:
        parse_config(config_parser("train_svi", ""), [f"--config={mine}"])
    assert "secret" not in str(error.value)


def test_a_file_of_text_is_refused_without_its_text(tmp_path: Path):
    (tmp_path / "x").write_text("user: name\npassword secret\n: [\n")
    with pytest.raises(UserError, match=r"plain YAML, got other text in line \d") as error:
        check_settings_file(tmp_path / "x")
    assert "secret" not in str(error.value)


def test_names_that_stand_for_others_are_refused(tmp_path: Path):
    """Ten of them that each name the one before ten times stand for 10^10 values."""
    lines = ["a0: &a0 [x]"] + [f"a{at}: &a{at} [{', '.join([f'*a{at - 1}'] * 10)}]" for at in range(1, 11)]
    (tmp_path / "x").write_text("\n".join(lines))
    with pytest.raises(UserError, match="without aliases"):
        check_settings_file(tmp_path / "x")


@pytest.mark.parametrize("name", ["/dev/zero", "."])
def test_what_never_ends_is_not_read(name: str):
    with pytest.raises(UserError, match="a folder or a device"):
        check_settings_file(Path(name))


def test_what_is_there_passes(tmp_path: Path):
    write_settings(Config(), tmp_path / "config.yaml")
    check_settings_file(tmp_path / "config.yaml")
    check_settings_file(tmp_path / "nowhere.yaml")
    check_settings_file(Path("x" * 5000))
