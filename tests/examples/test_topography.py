"""The map of programs, paths between them, and what codes tell."""

import json

import pytest
import torch

from examples.interpolation.interpolate import chosen_pairs
from examples.interpolation.paths import spherical, straight
from examples.mapping.codes import Clusters, cluster, pictures
from examples.mapping.measures import apart, told
from rnp_pyro.api.opening import open_trained


def test_clusters_are_found_the_largest_first():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    points = torch.cat([centres[0] + 0.1 * torch.randn(5, 2), centres[1] + 0.1 * torch.randn(9, 2)])
    found = cluster(points, 2, 0)
    assert [len(one) for one in found.members] == [9, 5]
    torch.testing.assert_close(found.centres[0], points[5:].mean(0))
    nearest = points[list(found.members[0])] - found.centres[0]
    assert (nearest.norm(dim=1).diff() >= 0).all()


def test_labels_that_codes_hold_are_told_and_others_are_not():
    labels = torch.arange(60) % 2
    codes = torch.randn(60, 3)
    codes[:, 0] += 20 * labels
    good = told(codes[:40], labels[:40], codes[40:], labels[40:])
    assert good["probe"] == good["neighbours"] == 1
    assert good["chance"] == 0.5
    assert told(codes, torch.zeros(60, dtype=torch.int64), codes, torch.zeros(60, dtype=torch.int64))["probe"] == 1
    assert apart(codes[labels == 0], codes[labels == 1]) > 0.5
    assert abs(apart(torch.randn(40, 3), torch.randn(40, 3))) < 0.2


def test_paths_keep_their_ends_and_their_law():
    one, other = torch.tensor([3.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0])
    line, arc = straight(one, other, 5), spherical(one, other, 5)
    for path in (line, arc):
        torch.testing.assert_close(path[[0, -1]], torch.stack([one, other]))
    torch.testing.assert_close(line[2], (one + other) / 2)
    torch.testing.assert_close(arc.norm(dim=-1), torch.linspace(3, 1, 5))
    angles = torch.nn.functional.cosine_similarity(arc[1:], arc[:-1]).acos()
    torch.testing.assert_close(angles, angles[:1].expand(4))
    torch.testing.assert_close(spherical(one, 2 * one, 4), straight(one, 2 * one, 4))
    torch.testing.assert_close(spherical(one, 0 * one, 4), straight(one, 0 * one, 4))


def test_pairs_of_clusters_are_far_apart_and_different():
    centres = torch.tensor([[0.0], [1.0], [10.0], [11.0]])
    clusters = Clusters([], centres, ())
    assert chosen_pairs(clusters, 2) == [(0, 3), (1, 2)]
    assert len(set(chosen_pairs(clusters, 9))) == 6


@pytest.mark.thorough
def test_a_program_is_drawn_as_the_tree_draws_it(digits_run):
    tree = open_trained(digits_run[0]).tree
    z = torch.randn(3, tree.latent_size)
    parse = tree.unfold(z)
    with torch.no_grad():
        torch.testing.assert_close(pictures(tree, z, 2), tree.fold(parse))
    assert pictures(tree, z, 1).shape[-2:] == (8, 8)


@pytest.mark.thorough
def test_a_map_and_paths_are_written(call, digits_run, tmp_path):
    done = call("topography", digits_run[0], "--images=12", "--clusters=3", "--out", tmp_path / "map")
    assert done.status == 0, done
    numbers = json.loads((tmp_path / "map/topography.json").read_text())
    expected = {"class_from_image", "class_from_pixels", "class_from_part", "place_from_part", "silhouette_of_levels"}
    assert expected <= set(numbers)
    quick = ("--images=12", "--clusters=3", "--pairs=1", "--steps=4", "--particles=3")
    done = call("interpolate", digits_run[0], "--baseline", digits_run[0], *quick, "--out", tmp_path / "path")
    assert done.status == 0, done
    numbers = json.loads((tmp_path / "path/interpolation.json").read_text())
    assert set(numbers["judged_by_run"]) == {"linear", "spherical", "pixels", "baseline"}
    assert numbers["judged_by_run"] == numbers["judged_by_baseline"]
    assert len(numbers["judged_by_run"]["linear"]["by_step"]) == 4
    assert "must be within 8 to" in call("topography", digits_run[0], "--images=3").error
    assert "--steps must be within 3" in call("interpolate", digits_run[0], "--steps=2").error
