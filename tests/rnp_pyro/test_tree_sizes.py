import pytest

from rnp_pyro.build import build_tree
from rnp_pyro.config import TreeConfig
from rnp_pyro.tree_sizes import canvas_sizes_for, patch_size_for


@pytest.mark.parametrize(
    ("image_size", "num_levels", "canvas_sizes", "patch_size"),
    [
        (8, 2, (4,), 4),
        (28, 1, (), 14),
        (28, 2, (16,), 8),
        (28, 3, (16, 8), 4),
        (48, 2, (28,), 14),
        (64, 2, (36,), 16),
        (128, 2, (72,), 16),
        (128, 3, (72, 40), 16),
    ],
)
def test_sizes(image_size, num_levels, canvas_sizes, patch_size):
    assert canvas_sizes_for(image_size, num_levels) == canvas_sizes
    assert patch_size_for(image_size, num_levels) == patch_size


def test_at_28_pixels_they_are_the_defaults():
    config = TreeConfig()
    assert canvas_sizes_for(28, len(config.num_steps)) == config.canvas_sizes
    assert patch_size_for(28, len(config.num_steps)) == config.patch_size


@pytest.mark.parametrize("image_size", [4, 5, 9, 100, 1000])
@pytest.mark.parametrize("num_levels", [1, 2, 4])
def test_any_size_makes_a_tree(image_size, num_levels):
    config = TreeConfig(
        num_steps=(2,) * num_levels,
        canvas_sizes=canvas_sizes_for(image_size, num_levels),
        patch_size=patch_size_for(image_size, num_levels),
        hidden_size=4,
        hypernet_size=4,
    )
    assert build_tree(config, 4, (1, image_size, image_size)).num_levels == num_levels
