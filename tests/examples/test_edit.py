"""Changed trees in files, and every kind of bad input."""

import json
from pathlib import Path

import pytest
import torch

from rnp_pyro.api.opening import open_trained
from rnp_pyro.part_tree.edit import pose_of
from rnp_pyro.part_tree.files import load_tree


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def edit(call, digits_run, out):
    """Change trees of the run's digits; give the changed trees."""

    def command(*arguments: object):
        done = call("edit", digits_run[0], *arguments, "--out", out, "--overwrite=true")
        assert done.status == 0, done
        assert (out / "edit.png").is_file()
        assert (out / "edit.svg").is_file()
        files = [Path(name) for name in done.lines[-1].split()[1:] if name.endswith(".json")]
        return [load_tree(file) for file in files]

    return command


@pytest.fixture
def refuse(refused, digits_run, out):
    """Expect one line of error, and every file as it was; return the line."""
    return lambda *arguments: refused("edit", digits_run[0], *arguments, "--out", out)


@pytest.fixture
def trees(call, digits_run, tmp_path):
    """Parses of two digits."""
    call("parse", digits_run[0], "--index", 0, 1, "--out", tmp_path / "parsed")
    return [load_tree(tmp_path / "parsed" / f"test-{number}" / "parse.json") for number in (0, 1)]


@pytest.mark.thorough
def test_swapping_twice_with_files_between(edit, trees, out, tmp_path):
    one, _ = edit("swap", "--index", 0, 1, "--part=2")
    torch.testing.assert_close(one.at(1).z[1], trees[1].at(1).z[1])
    first = out.rename(tmp_path / "first")
    files = [first / "edit-1.json", first / "edit-2.json"]
    again = edit("swap", "--tree", *files, "--part=2")
    for found, tree in zip(again, trees, strict=True):
        torch.testing.assert_close(found.fold(), tree.fold(), rtol=0, atol=1e-5)


@pytest.mark.thorough
def test_replace_by_another_part_of_the_same_image(edit, trees):
    (changed,) = edit("replace", "--index", 0, "--part=1", "--with_part=3")
    torch.testing.assert_close(changed.at(1).z[0], trees[0].at(1).z[2])
    torch.testing.assert_close(changed.at(0).patch[0:2], trees[0].at(0).patch[4:6], rtol=0, atol=1e-5)
    (changed,) = edit("replace", "--index", 0, 1, "--part=1.2")
    torch.testing.assert_close(changed.at(0).z[1], trees[1].at(0).z[1])


@pytest.mark.thorough
def test_repose_counts_pixels(edit, trees):
    """A root's part moves in the image of 12 pixels, its children in its canvas of 8."""
    (changed,) = edit("repose", "--index", 0, "--part=3", "--shift=[3,-1.5]")
    moved = pose_of(changed, (2,)) - pose_of(trees[0], (2,))
    torch.testing.assert_close(moved, torch.tensor([[0, 0, 0.5], [0, 0, -0.25]]), rtol=0, atol=1e-6)
    (changed,) = edit("repose", "--index", 0, "--part=3.1", "--shift=[2,0]", "--scale=2")
    pose, before = pose_of(changed, (2, 0)), pose_of(trees[0], (2, 0))
    torch.testing.assert_close(pose[:, 2], before[:, 2] + torch.tensor([0.5, 0]))
    torch.testing.assert_close(pose[:, :2], 2 * before[:, :2])


@pytest.mark.thorough
def test_interpolation_has_its_ends(edit, trees):
    found = edit("interpolate", "--index", 0, 1, "--steps=3")
    assert len(found) == 3
    for end, tree in ((found[0], trees[0]), (found[2], trees[1])):
        torch.testing.assert_close(end.fold(), tree.fold(), rtol=0, atol=1e-5)
    found = edit("interpolate", "--index", 0, 1, "--steps=2", "--part=2")
    torch.testing.assert_close(found[1].at(1).z[1], trees[1].at(1).z[1])
    torch.testing.assert_close(found[1].at(1).z[0], trees[0].at(1).z[0])


@pytest.mark.thorough
def test_truncate(edit, trees, digits_run):
    (changed,) = edit("truncate", "--index", 0)
    assert changed.leaf_level == 1
    tree = open_trained(digits_run[0]).pair.model.tree
    with torch.no_grad():
        torch.testing.assert_close(changed.fold(), tree.fold(trees[0].parse, leaf_level=1), rtol=0, atol=1e-5)


@pytest.mark.thorough
def test_the_file_says_what_was_done(edit, out):
    edit("swap", "--index", 0, 1, "--part=2", "--with_part=1", "--with_pose=true")
    about = json.loads((out / "edit-1.json").read_text())["about"]
    assert about["operation"] == "swap"
    assert about["what"] == "part 2 of test-0 and part 1 of test-1 swapped with their poses"


@pytest.mark.thorough
def test_colour(call, colour_run, out):
    assert call("edit", colour_run[0], "swap", "--index", 0, 1, "--part=1", "--out", out).status == 0


# Bad input


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "expected OPERATION after RUN, one of replace, swap, repose, interpolate, truncate, got none"),
        (["rotate", "--index", 0], "got rotate"),
        (["swap", "--index", 0, 1], "swap needs --part"),
        (["swap", "--index", 0, "--part=1"], "swap takes 2 of --index, --image and --tree, got 1"),
        (["repose", "--part=1", "--turn=3"], "repose takes 1 of --index, --image and --tree, got 0"),
        (["swap", "--index", 0, 1, "--part=9"], "there is no part 9"),
        (["swap", "--index", 0, 1, "--part=0"], "expected a part such as 2"),
        (["swap", "--index", 0, 1, "--part=1.x"], "expected a part such as 2"),
        (["swap", "--index", 0, 1, "--part=1.1.1"], "there is no part 1.1.1"),
        (["swap", "--index", 0, 1, "--part=1", "--with_part=1.1"], "parts of one level"),
        (["replace", "--index", 0, 1, "--part=1", "--with_part=1.1"], "two parts of one level"),
        (["replace", "--index", 0, "--part=1"], "needs --with_part"),
        (["repose", "--index", 0, "--part=1"], "repose needs --shift"),
        (["repose", "--index", 0, "--part=0"], "expected a part such as 2"),
        (["repose", "--index", 0, "--part=1", "--shift=3,4"], "a list in quotes such as '[1, 2]', got 3,4"),
        (["swap", "--index", 0, 1, "--part=1", "--of=root"], "--of is for interpolate, not for swap"),
        (["repose", "--index", 0, "--part=1", "--scale=0"], "--scale must be within 0.01 to 100, got 0"),
        (["repose", "--index", 0, "--part=1", "--turn=inf"], "--turn"),
        (["repose", "--index", 0, "--part=1", "--shift=[nan,0]"], "--shift"),
        (["repose", "--index", 0, "--part=1", "--shift=[1]"], "--shift"),
        (["interpolate", "--index", 0, 1, "--steps=1"], "--steps must be within 2 to 64"),
        (["truncate", "--index", 0, "--level=2"], "expected a level within 0 to 1"),
        (["truncate", "--index", 0, "--part=1"], "--part is for replace and swap and repose and interpolate"),
        (["swap", "--index", 0, 1, "--part=1", "--turn=3"], "--turn is for repose, not for swap"),
        (["truncate", "--tree", "nowhere.json"], "expected a file with a tree, got nowhere.json"),
    ],
)
def test_what_does_not_fit(refuse, arguments, expected):
    assert expected in refuse(*arguments)


@pytest.mark.thorough
def test_a_tree_of_another_run(call, colour_run, refuse, tmp_path):
    call("parse", colour_run[0], "--index", 0, "--out", tmp_path / "other")
    assert "as in the run" in refuse("truncate", "--tree", tmp_path / "other" / "parse.json")


@pytest.mark.thorough
def test_a_tree_that_other_weights_made(call, digits_run, refuse, tmp_path):
    """Of equal shapes, so that nothing but the note in the file tells them apart."""
    call("parse", digits_run[0], "--index", 0, "--out", tmp_path / "mine")
    file = tmp_path / "mine" / "parse.json"
    tree = json.loads(file.read_text())
    tree["about"] |= {"weights": "others", "run": "theirs"}
    file.write_text(json.dumps(tree))
    assert f"got {file} of the run theirs" in refuse("truncate", "--tree", file)
