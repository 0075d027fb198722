"""Trees in files: what is saved comes back, and what does not fit is refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rnp_pyro import writing
from rnp_pyro.errors import UserError
from rnp_pyro.part_tree.edit import Move, move_part, truncate, unfold_value
from rnp_pyro.part_tree.files import load_tree, save_tree, tree_to_json
from rnp_pyro.part_tree.value import TreeValue
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]
KINDS = [
    {},
    {"num_steps": (3,)},
    {"num_steps": (2, 1, 3)},
    {"composition": "sum", "patch_activation": "relu6", "interpolation": "bicubic"},
    {"feedback": True},
    {"image_shape": (3, 12, 14)},
]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tree.json"


@pytest.fixture
def tree(make_tree: MakeTree) -> Tree:
    return make_tree(num_steps=(2, 3))


@pytest.fixture
def value(tree: Tree) -> TreeValue:
    return unfold_value(tree, torch.randn(6))


def tensors(value: TreeValue) -> list[torch.Tensor]:
    return [value.parse.root, *(tensor for nodes in value.parse.levels for tensor in vars(nodes).values())]


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_what_is_saved_comes_back_bit_for_bit(make_tree: MakeTree, path: Path, kind: dict, dtype: torch.dtype):
    tree = make_tree(**kind).to(dtype)
    value = unfold_value(tree, torch.randn(6, dtype=dtype))
    save_tree(value, path, about={"image": "a"})
    for found in (load_tree(path), load_tree(path, tree)):
        assert all(torch.equal(one, other) for one, other in zip(tensors(found), tensors(value), strict=True))
        assert torch.equal(found.fold(), value.fold())
        assert found.assembly.num_steps == value.assembly.num_steps


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_without_patches_the_tree_decodes_them(make_tree: MakeTree, path: Path, kind: dict):
    tree = make_tree(**kind)
    value = unfold_value(tree, torch.randn(6))
    save_tree(value, path, patches=False)
    assert '"patch":' not in path.read_text()
    assert (load_tree(path, tree).fold() - value.fold()).abs().max() < 1e-10


def test_edited_and_truncated_trees_come_back(tree: Tree, value: TreeValue, path: Path):
    for changed in (move_part(value, (1,), Move((0.5, 0.1), 20, 2.0)), truncate(value, 1)):
        for patches in (True, False):
            save_tree(changed, path, patches)
            found = load_tree(path, tree)
            assert found.leaf_level == changed.leaf_level
            torch.testing.assert_close(found.fold(), changed.fold(), rtol=0, atol=1e-10)


def test_the_file_reads_as_a_tree(value: TreeValue):
    read = tree_to_json(value)
    assert (read["format"], read["version"], read["levels"]) == ("rnp-pyro tree", 1, 2)
    parts = read["root"]["children"]
    assert [len(part["children"]) for part in parts] == [3, 3]
    torch.testing.assert_close(torch.tensor(parts[1]["pose"]), value.at(1).pose[1])
    torch.testing.assert_close(torch.tensor(parts[1]["children"][2]["z"]), value.at(0).z[5])
    assert "children" not in parts[0]["children"][0]


def test_numbers_are_as_short_as_they_can_be(make_tree: MakeTree):
    value = unfold_value(make_tree().float(), torch.tensor([0.1, 0.2, 0.3, -1e-7, 5.0, 0.0625], dtype=torch.float32))
    assert json.dumps(tree_to_json(value)["root"]["z"]) == "[0.1, 0.2, 0.3, -1e-07, 5.0, 0.0625]"


@pytest.mark.thorough
def test_a_batch_and_nan_are_refused(tree: Tree, value: TreeValue, path: Path):
    with pytest.raises(UserError, match=r"expected one tree to write, got a batch of \[2\]"):
        save_tree(unfold_value(tree, torch.randn(2, 6)), path)
    value.at(0).z[0, 0] = torch.nan
    with pytest.raises(UserError, match="expected finite numbers"):
        save_tree(value, path)
    assert not path.exists()


@pytest.mark.thorough
def test_a_crash_leaves_the_older_file(value: TreeValue, path: Path, monkeypatch: pytest.MonkeyPatch):
    path.write_text("older")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing.os, "replace", full)
    with pytest.raises(UserError, match="No space"):
        save_tree(value, path)
    assert path.read_text() == "older"
    assert list(path.parent.iterdir()) == [path]


# -- files that do not fit


def refused(path: Path, tree: Tree | None = None) -> str:
    with pytest.raises(UserError) as caught:
        load_tree(path, tree)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.mark.thorough
def test_what_is_no_json(path: Path):
    assert "No such file" in refused(path)
    assert "directory" in refused(path.parent)
    deep = "[" * 100_000
    for content in (b"", b"hello", b"\xff\xfe", b"{", deep.encode()):
        path.write_bytes(content)
        refused(path)


@pytest.mark.thorough
@pytest.mark.parametrize("content", ["[]", "3", "null", "{}", '{"format": "other"}', '"rnp-pyro tree"'])
def test_json_that_is_no_tree(path: Path, content: str):
    path.write_text(content)
    assert "got other JSON" in refused(path)


MISSING = object()
DAMAGE: list[tuple[str, Any, str]] = [
    ("version", 2, "expected version to be 1"),
    ("dtype", "int8", "one of float32, float64"),
    ("dtype", [], "one of float32, float64"),
    ("levels", 0, "integer within 1 to 64"),
    ("levels", True, "integer within 1 to 64"),
    ("levels", 3, "3 pairs"),
    ("leaf_level", 2, "below levels"),
    ("image_shape", [1, 12], "3 integers"),
    ("image_shape", [1, 13, 12], "canvas_sizes to be [13, 12] first"),
    ("canvas_sizes", [[12, 12], [0, 10]], "within 1 to 10000"),
    ("num_steps", [3, 3], "children of the root to be a list of 3 nodes"),
    ("num_steps", [2, 2], "children of part 1 to be a list of 2 nodes"),
    ("num_steps", [9999, 9999], "at most 100000 nodes"),
    ("composition", "product", "one of sum, noisy_or"),
    ("interpolation", None, "one of bilinear, bicubic"),
    ("leak", [1.5], "between 0 and 1"),
    ("leak", [0.1, 0.1], "leak of the tree"),
    ("patches", 1, "true or false"),
    ("patch_size", [5, 4], "patch of part 1"),
    ("root", 3, "root to be a node"),
    ("root.z", [1, "a"], "z of the root"),
    ("root.z", [], "z of the root"),
    ("root.z", [1.0], "z of part 1 to be finite numbers of shape [1]"),
    ("root.children", {}, "children of the root"),
    ("root.children.1", [], "part 2 to be a node"),
    ("root.children.1.pose", [[1, 0, 0]], "pose of part 2"),
    ("root.children.1.pose", [[1, 0, 0], [0, 1, float("nan")]], "pose of part 2"),
    ("root.children.1.pose", [[1, 0, 0], [0, 1, float("inf")]], "pose of part 2"),
    ("root.children.1.pose", [[1, 0, 0], [0, 1, 10**400]], "pose of part 2"),
    ("root.children.1.pose", [[1, 0, 0], [0, 1, True]], "pose of part 2"),
    ("root.children.0.action", None, "action of part 1"),
    ("root.children.0.patch", MISSING, "patch of part 1"),
    ("root.children.0.children.2.z", MISSING, "z of part 1.3"),
    ("root.children.0.children.2.children", [{}], "children of part 1.3 to be a list of 0 nodes"),
]


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize(
    ("where", "what", "expected"), DAMAGE, ids=lambda item: "missing" if item is MISSING else str(item)[:40]
)
def test_what_does_not_fit_is_refused_by_name(value: TreeValue, path: Path, where: str, what: Any, expected: str):
    read = json.loads(json.dumps(tree_to_json(value)))
    place: Any = read
    *above, last = [int(key) if key.isdigit() else key for key in where.split(".")]
    for key in above:
        place = place[key]
    if what is MISSING:
        del place[last]
    else:
        place[last] = what
    path.write_text(json.dumps(read))
    assert expected in refused(path)


def test_a_file_without_patches_needs_its_tree(value: TreeValue, path: Path):
    save_tree(value, path, patches=False)
    assert "give the run that made it" in refused(path)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ({"num_steps": (2, 2)}, "num_steps to be [2, 2] as in the run, got [2, 3]"),
        ({"num_steps": (2, 3, 1)}, "levels to be 3 as in the run, got 2"),
        ({"latent_size": 5}, "the size of z to be 5 as in the run, got 6"),
        ({"composition": "sum"}, "composition to be"),
        ({"image_shape": (1, 14, 12)}, "canvas_sizes to be"),
        ({"patch_size": 4}, "the shape of patches to be"),
    ],
)
def test_a_tree_of_another_run_is_refused(make_tree: MakeTree, value: TreeValue, path: Path, kind: dict, expected: str):
    save_tree(value, path)
    assert expected in refused(path, make_tree(**{"num_steps": (2, 3), **kind}))


def test_a_file_that_is_too_large_is_not_read(value: TreeValue, path: Path, monkeypatch: pytest.MonkeyPatch):
    save_tree(value, path)
    monkeypatch.setattr("rnp_pyro.part_tree.files.LARGEST_FILE", 100)
    assert "at most" in refused(path)


def test_a_tree_of_another_precision_is_refused(make_tree: MakeTree, value: TreeValue, path: Path):
    save_tree(value, path)
    assert "dtype to be" in refused(path, make_tree(num_steps=(2, 3)).float())


def test_sizes_in_a_file_take_no_memory(tree: Tree, value: TreeValue, path: Path):
    """Nine nodes of 8 TB each are refused by their shape, not by the machine."""
    read = tree_to_json(value, patches=False) | {"patch_size": [10_000, 10_000]}
    path.write_text(json.dumps(read))
    assert "the shape of patches to be" in refused(path, tree)
    assert "give the run that made it" in refused(path)
