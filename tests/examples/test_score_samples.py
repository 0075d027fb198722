"""Distances between samples and images: their exact values, and what the command writes."""

import json

import pytest
import torch

from examples.scoring.classifier import train_judge
from examples.scoring.distances import covered, frechet, kernel_distances
from rnp_pyro.data import images_from_arrays


def test_frechet_of_normals_with_known_moments():
    """Diagonal covariances: the sum over dimensions of squared differences of means and of standard deviations."""
    one = torch.randn(400, 3, dtype=torch.float64)
    scale, shift = one.new_tensor([1.0, 2.0, 0.5]), one.new_tensor([1.0, 0.0, -2.0])
    assert frechet(one, one) == pytest.approx(0, abs=1e-9)
    assert frechet(one, one + shift) == pytest.approx(5.0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(one.mT)), one.mT, upper=False).mT
    other = white * scale
    means = (white.mean(0) - other.mean(0)).square().sum()
    assert frechet(white, other) == pytest.approx(float((1 - scale).square().sum() + means))


def test_the_kernel_distance_is_unbiased():
    one, other = torch.randn(2, 3000, 4)
    same = kernel_distances(one, other, 0)
    assert abs(float(same.mean())) < 4 * float(same.std()) / len(same) ** 0.5 + 1e-3
    assert float(kernel_distances(one, other + 2, 0).mean()) > 1
    torch.testing.assert_close(same, kernel_distances(one, other, 0))


def test_precision_and_recall_of_part_of_a_set():
    whole = torch.cat([torch.randn(40, 2), torch.randn(40, 2) + 100])
    half = whole[:40]
    assert covered(whole, half) == 1
    assert covered(half, whole) == 0.5


def test_a_judge_learns_turns_where_there_are_no_classes():
    images = torch.zeros(40, 12, 12, dtype=torch.uint8)
    images[:, :4, 2:] = 255
    judge = train_judge(images_from_arrays({"images": images}), 30, 0)
    assert judge.task == "quarter turns"
    assert judge.accuracy == 1


@pytest.mark.thorough
def test_scores_are_written(call, digits_run, tmp_path):
    quick = ("--num=12", "--steps=3")
    done = call("score_samples", digits_run[0], "--baseline", digits_run[0], *quick, "--json", tmp_path / "a.json")
    assert done.status == 0, done
    found = json.loads((tmp_path / "a.json").read_text())
    assert set(found["rows"]) == {str(digits_run[0]), "training images"}
    assert found["task"] == "classes"
    assert "--num must be within 8" in call("score_samples", digits_run[0], "--num=2").error
