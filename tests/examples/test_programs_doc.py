"""What docs/programs.md shows must run."""

import re
from pathlib import Path

import pytest

DOC = Path(__file__).parents[2] / "docs" / "programs.md"
TEXT = DOC.read_text(encoding="utf-8")


def test_commands_files_and_operations_exist(call):
    for command in set(re.findall(r"python -m (examples\.\w+)", TEXT)):
        assert (DOC.parents[1] / (command.replace(".", "/") + ".py")).is_file(), command
    for target in re.findall(r"\]\(([\w./]+)\)", TEXT):
        assert (DOC.parent / target).exists(), target
    options = {name: call(name, "--help").out for name in ("parse", "sample", "edit", "compare_completions")}
    for option in set(re.findall(r"`(--\w+)(?![\w.])", TEXT)):
        assert any(option in text for text in options.values()), option


@pytest.mark.thorough
def test_the_library_example_runs(call, digits_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    call("parse", digits_run[0], "--index", 0, "--out", "parse")
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    exec(compile(block, "programs.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "torch.Size([1, 12, 12])" in printed
    assert "torch.Size([3, 2, 3]) torch.Size([6, 4])" in printed
