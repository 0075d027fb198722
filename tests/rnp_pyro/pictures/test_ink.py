"""Ink and paper told apart."""

import torch

from rnp_pyro.pictures.ink import find_ink, ink_on_paper, otsu, paper_surface


def test_paper_is_fitted_whatever_lies_on_it():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 60), torch.linspace(-1, 1, 80), indexing="ij")
    paper = 0.6 + 0.2 * x - 0.1 * y + 0.05 * x * y - 0.08 * x * x
    inked = paper.clone()
    inked[20:40, 30:36] = 0.1
    assert (paper_surface(inked) - paper).abs().max() < 0.03


def test_the_threshold_lies_between_two_groups():
    values = torch.cat([0.1 + 0.02 * torch.rand(900), 0.8 + 0.05 * torch.rand(100)])
    assert 0.11 < otsu(values[None]) < 0.81


def test_dark_and_bright_ink_are_told_apart():
    image = torch.full((3, 40, 40), 0.7)
    image[:, 10:30, 18:22] = 0.2
    dark, ink = find_ink(image)
    assert dark
    assert ink is not None
    assert ink[12:28, 19:21].min() > 0.9
    assert ink[:, :14].max() == 0
    bright, ink = find_ink(1 - image)
    assert not bright
    assert ink is not None


def test_shapes_of_any_size_are_told_from_the_paper_at_the_border():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 28), torch.linspace(-1, 1, 28), indexing="ij")
    paper = 0.5 + 0.15 * x - 0.1 * y
    for drawn in ((x.abs() < 0.1) & (y.abs() < 0.7), (x.abs() < 0.8) & (y.abs() < 0.8)):
        ink = ink_on_paper(torch.where(drawn, 0.3 * paper, paper))
        assert ink[drawn].min() > 0.9
        assert ink[~drawn].max() == 0
    assert ink_on_paper(paper).max() == 0
