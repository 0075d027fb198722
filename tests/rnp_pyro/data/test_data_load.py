import pytest

from rnp_pyro.data import load_images
from rnp_pyro.data_sets import DATA_SETS, known_forms
from rnp_pyro.errors import UserError


@pytest.mark.parametrize("name", ["", "mnits", "mnist:x", "mnist:", "omniglot:two-shot", "MNIST"])
def test_unknown_names(name):
    with pytest.raises(UserError) as caught:
        load_images(name)
    message = str(caught.value)
    assert message == f"expected a data set, one of {', '.join(known_forms())}, got {name!r}"


@pytest.mark.parametrize(("name", "form"), [("folder:", "folder:PATH"), ("array", "array:FILE")])
def test_a_name_without_its_path(name, form):
    with pytest.raises(UserError) as caught:
        load_images(name)
    assert str(caught.value) == f"expected {form}, got {name!r}, without its {form[-4:]}: name it as {form}"


@pytest.mark.parametrize("image_size", [0, -1, 3])
def test_impossible_image_size(image_size):
    with pytest.raises(UserError, match=f"at least 4 pixels, got {image_size}"):
        load_images("mnist-sample", image_size=image_size)


def test_impossible_share():
    with pytest.raises(UserError, match="above 0 and under 1"):
        load_images("mnist-sample", validation_share=0.0)


def test_test_images_are_whole_whatever_is_held_out():
    half, few = load_images("mnist-sample", validation_share=0.5), load_images("mnist-sample")
    assert half.test.equal(few.test)
    assert len(half.train) == len(half.validation) == 5000


def test_every_data_set_has_its_file():
    for data_set in DATA_SETS.values():
        assert callable(data_set.module.load), data_set.name
        assert data_set.module.__doc__.startswith(f"``{data_set.name}")
