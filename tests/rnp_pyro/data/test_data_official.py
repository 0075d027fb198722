"""The public data sets, from miniatures of their official layouts and from archives made of these."""

import os
import shutil
from pathlib import Path

import layouts
import numpy as np
import pytest
import torch

from examples.prepare_data import PrepareConfig, main, preparable
from rnp_pyro.data import ImageData, load_images
from rnp_pyro.data.digit_pairs import inverse_pose
from rnp_pyro.data.fashion_mnist_colour import colours, paint
from rnp_pyro.errors import UserError

FULL = os.environ.get("RNP_DATA", "")


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Nobody's data, and no network: addresses where nothing answers."""
    monkeypatch.delenv("RNP_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


def made(name: str, folder: Path) -> Path:
    below, write = layouts.OFFICIAL[name]
    write(folder / below)
    return folder / below


def refused(name: str, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_images(name, data_dir=str(folder))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same(first: ImageData, second: ImageData) -> bool:
    parts = ("train", "validation", "test", "train_labels", "validation_labels", "test_labels")
    equal = all(torch.equal(getattr(first, part), getattr(second, part)) for part in parts)
    return equal and first.class_names == second.class_names and first.train_files == second.train_files


def test_every_archived_data_set_is_tried():
    assert set(layouts.OFFICIAL) == set(preparable())


@pytest.mark.thorough
@pytest.mark.parametrize("name", layouts.OFFICIAL)
@pytest.mark.parametrize("image_size", [28, 20])
def test_the_archive_is_the_official_layout(tmp_path, name, image_size):
    official = made(name, tmp_path / "sets")
    direct = load_images(name, data_dir=str(tmp_path / "sets"), image_size=image_size)
    (tmp_path / "out").mkdir()
    main(PrepareConfig(name, str(official), str(tmp_path / "out")))
    archived = load_images(name, data_dir=str(tmp_path / "out"), image_size=image_size)
    assert same(direct, archived)
    assert direct.image_shape[1:] == (image_size, image_size)
    assert direct.class_names is not None
    assert direct.train.max() > 100  # ink is bright
    assert direct.notes == ()


@pytest.mark.thorough
@pytest.mark.parametrize("name", layouts.OFFICIAL)
def test_a_root_one_folder_too_high_or_too_low(tmp_path, name):
    official = made(name, tmp_path / "data" / "sets")
    right = load_images(name, data_dir=str(tmp_path / "data" / "sets"))
    for root in (tmp_path / "data", official):
        assert same(right, load_images(name, data_dir=str(root))), root


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in layouts.OFFICIAL if name != "mnist"])
def test_nothing_found(tmp_path, name):
    message = refused(name, tmp_path)
    assert "expected" in message
    assert str(tmp_path) in message
    assert "http" in message
    assert "--data_dir" in message


@pytest.mark.parametrize("name", layouts.OFFICIAL)
def test_preparing_from_an_empty_folder(tmp_path, name):
    with pytest.raises(UserError, match=r"expected .* in .*got .*: get .* from http"):
        main(PrepareConfig(name, str(tmp_path), str(tmp_path)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
@pytest.mark.parametrize("name", layouts.OFFICIAL)
def test_a_truncated_archive(tmp_path, name):
    official = made(name, tmp_path / "sets")
    out = main(PrepareConfig(name, str(official), str(tmp_path)))
    shutil.rmtree(tmp_path / "sets")
    out.write_bytes(out.read_bytes()[:-100])
    assert out.name in refused(name, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["omniglot", "omniglot:one-shot", "eth80"])
def test_damaged_images_are_all_named(tmp_path, name):
    official = made(name, tmp_path)
    for path in sorted(official.rglob("*.png"))[:3]:
        path.write_bytes(path.read_bytes()[:40])
    message = refused(name, tmp_path)
    assert "got 3 of" in message or "got 1 of" in message or "got 2 of" in message
    assert "truncated or damaged" in message


@pytest.mark.thorough
def test_mnist_is_not_taken_for_another_of_its_form(tmp_path):
    made("fashion-mnist", tmp_path)
    made("kmnist", tmp_path)
    for folder in (tmp_path, tmp_path / "KMNIST", tmp_path / "KMNIST" / "raw"):
        assert "mnist.npz or MNIST/raw" in refused("mnist", folder)


def test_kmnist_from_the_authors_archives(tmp_path):
    (tmp_path / "kmnist").mkdir()
    names = ("train-imgs", "train-labels", "test-imgs", "test-labels")
    for name, array in zip(names, layouts.idx_arrays(), strict=True):
        np.savez(tmp_path / "kmnist" / f"kmnist-{name}.npz", array)
    found = load_images("kmnist", data_dir=str(tmp_path))
    made("kmnist", tmp_path / "other")
    assert same(found, load_images("kmnist", data_dir=str(tmp_path / "other")))
    assert found.class_names is not None
    assert found.class_names[1] == "ki"


def test_letters_are_upright_and_counted_from_zero(tmp_path):
    made("emnist-letters", tmp_path)
    data = load_images("emnist-letters", data_dir=str(tmp_path))
    _, _, images, labels = layouts.idx_arrays(classes=26, first=1)
    assert data.test[:, 0].numpy().tolist() == images.swapaxes(1, 2).tolist()
    assert data.test_labels is not None
    assert data.test_labels.tolist() == (labels - 1).tolist()
    assert data.class_names is not None
    assert "".join(data.class_names) == "abcdefghijklmnopqrstuvwxyz"


def test_letters_of_another_kind_are_refused(tmp_path):
    layouts.write_idx(tmp_path / "EMNIST" / "raw", layouts.LETTER_NAMES, classes=10)
    assert "expected labels of 1 to 26" in refused("emnist-letters", tmp_path)


def test_omniglot(tmp_path):
    made("omniglot", tmp_path)
    data = load_images("omniglot", data_dir=str(tmp_path), image_size=105)
    assert (len(data.train) + len(data.validation), len(data.test)) == (24, 8)
    assert data.class_names is not None
    assert data.class_names[0] == "Arcadian/character01"
    assert data.train_labels is not None
    assert data.test_labels is not None
    assert not set(data.train_labels.tolist()) & set(data.test_labels.tolist())
    assert data.test_files is not None
    for file, label, image in zip(data.test_files, data.test_labels, data.test, strict=True):
        assert file.startswith(data.class_names[label])
        original = np.asarray(layouts.Image.open(tmp_path / "omniglot-py" / "images_evaluation" / file).convert("L"))
        assert image[0].numpy().tolist() == (255 - original).tolist()  # ink is bright


def test_half_of_omniglot(tmp_path):
    folder = made("omniglot", tmp_path)
    shutil.rmtree(folder / "images_evaluation")
    with pytest.raises(UserError, match="got only images_background: get what is missing from http"):
        main(PrepareConfig("omniglot", str(tmp_path), str(tmp_path)))


def test_one_shot(tmp_path):
    made("omniglot:one-shot", tmp_path)
    data = load_images("omniglot:one-shot", data_dir=str(tmp_path))
    assert (len(data.train), len(data.validation), len(data.test)) == (8, 4, 12)
    assert data.train_labels is not None
    assert data.train_labels.tolist() == list(range(8))
    assert data.test_labels is not None
    assert data.test_labels.tolist() == [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8]
    assert data.class_names is not None
    assert data.class_names[5] == "run02/class02"


@pytest.mark.thorough
def test_eth80_divides_objects_and_cuts_them_out(tmp_path):
    made("eth80", tmp_path)
    data = load_images("eth80", data_dir=str(tmp_path), image_size=64)
    assert (len(data.train), len(data.validation), len(data.test)) == (28, 4, 8)
    assert data.class_names == ("apple", "car")
    for files, objects in (  # seven, one and two of each kind; of the cars the numbers 4, 8 and 10 are called otherwise
        (data.train_files, [f"apple{at}" for at in range(1, 8)] + [f"car{at}" for at in (1, 2, 3, 5, 6, 7, 11)]),
        (data.validation_files, ["apple8", "car12"]),
        (data.test_files, ["apple10", "apple9", "car14", "car9"]),
    ):
        assert files is not None
        assert sorted({file.split("/")[0] for file in files}) == sorted(objects)
    assert (data.train[..., 33:, :] == 0).all()
    assert (data.train[..., :31, 33:] == 0).all()
    assert data.train[0, :, 5, 5].tolist() == [15, 100, 30]
    assert data.train_masks is not None
    assert data.train_masks.shape == (28, 1, 64, 64)
    assert (data.train_masks[:, 0, :31, :31] == 255).all()


def test_eth80_without_a_mask(tmp_path):
    next(made("eth80", tmp_path).rglob("car3*-map.png")).unlink()
    assert "1 of 40 masks missing, such as that of 'car3/car3-022-0" in refused("eth80", tmp_path)


def test_colours_are_those_of_the_authors(tmp_path):
    found = colours(0, 1000)
    assert torch.allclose(found.sum(-1), torch.tensor(1.4, dtype=found.dtype))
    assert (found >= 0).all()
    assert found.equal(colours(0, 2000)[:1000])
    assert not found.equal(colours(1, 1000))
    made("fashion-mnist", tmp_path)
    data = load_images("fashion-mnist-colour", data_dir=str(tmp_path))
    grey = load_images("fashion-mnist", data_dir=str(tmp_path))
    assert data.image_shape == (3, 28, 28)
    assert data.test.equal(paint(grey.test, colours(1, len(grey.test))))
    assert data.class_names == grey.class_names


@pytest.mark.thorough
def test_digit_pairs():
    data = load_images("digit-pairs")
    again, other = load_images("digit-pairs:0"), load_images("digit-pairs:1")
    assert data.train.equal(again.train)
    assert not data.train.equal(other.train)
    assert (len(data.train), len(data.validation), len(data.test)) == (9500, 500, 2000)
    assert data.test_masks is not None
    assert data.test_masks.shape == (2000, 2, 28, 28)
    assert data.test.equal(data.test_masks.amax(1, keepdim=True))
    assert (data.test_masks.flatten(2).amax(-1) > 100).float().mean() > 0.95  # hardly a digit lies outside
    assert data.class_names is not None
    assert data.class_names[37] == "37"


def test_the_inverse_pose_undoes_the_digits_pose():
    draws = torch.tensor([[[0.5, 0.3, 0.2, -0.4], [0.0, 0.0, 0.5, 0.0]]])
    inverse = inverse_pose(draws)
    # Without rotation and shear: 1.5 times smaller, its middle at 0.8 * 0.5 of half the image to the right.
    assert torch.allclose(inverse[0, 1], torch.tensor([[1.5, 0.0, -0.6], [0.0, 1.5, 0.0]]))
    middle = inverse[0, 0] @ torch.tensor([0.16, -0.32, 1.0])
    assert torch.allclose(middle, torch.zeros(2), atol=1e-6)


@pytest.mark.parametrize("seed", ["x", "-1", "1.5", "²", str(2**63)])
def test_no_seed(seed):
    with pytest.raises(UserError, match="expected digit-pairs:SEED"):
        load_images(f"digit-pairs:{seed}")


@pytest.mark.data
@pytest.mark.skipif(not FULL, reason="RNP_DATA does not name a folder with the full data sets")
@pytest.mark.parametrize(
    ("name", "sizes", "classes"),
    [
        ("omniglot", (18316, 964, 13180), 1623),
        ("omniglot:one-shot", (180, 20, 200), 200),
        ("eth80", (2296, 328, 328), 8),
        ("fashion-mnist-colour", (57000, 3000, 10000), 10),
    ],
)
def test_full(name, sizes, classes):
    data = load_images(name, data_dir=FULL)
    assert (len(data.train), len(data.validation), len(data.test)) == sizes
    assert data.class_names is not None
    assert len(data.class_names) == classes
