"""Which images a data set holds."""

from dataclasses import replace

import torch

from rnp_pyro.data import ImageData, fingerprint, image_hashes, seen
from rnp_pyro.data.image_data import SPLITS


def differing(then: dict[str, str], now: dict[str, str]) -> str:
    """Name the splits whose images are others."""
    return ", ".join(split for split in SPLITS if then[split] != now[split])


def images(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 1, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def data() -> ImageData:
    return ImageData("mine", images(20)[:10], images(20)[10:14], images(20)[14:])


def test_order_names_and_labels_do_not_count():
    first = data()
    other = replace(first, name="yours", train=first.train.flip(0), train_labels=torch.arange(10))
    assert fingerprint(first) == fingerprint(other)
    assert set(fingerprint(first)) == {"train", "validation", "test"}


def test_any_change_of_a_split_counts():
    first = data()
    changed = first.test.clone()
    changed[0, 0, 0, 0] += 1
    for test in (changed, first.test[1:], torch.cat([first.test, first.test[:1]]), 255 - first.test):
        other = fingerprint(replace(first, test=test))
        assert differing(fingerprint(first), other) == "test"
    assert differing(fingerprint(first), fingerprint(first)) == ""
    moved = replace(first, train=first.train[1:], test=torch.cat([first.test, first.train[:1]]))
    assert differing(fingerprint(first), fingerprint(moved)) == "train, test"


def test_the_shape_counts():
    blank = torch.zeros(1, 1, 4, 9, dtype=torch.uint8)
    assert image_hashes(blank) != image_hashes(blank.view(1, 1, 6, 6))


def test_hashes_are_the_same_everywhere():
    """They are kept in runs: a change of the function would make every run's data another."""
    assert image_hashes(torch.arange(36, dtype=torch.uint8).view(1, 1, 6, 6)).tolist() == [PINNED]


def test_what_was_trained_on_is_found():
    trained = image_hashes(data().train)
    mixed = torch.cat([images(20)[12:], images(20)[:3]])
    assert seen(mixed, trained).tolist() == [False] * 8 + [True] * 3
    assert not seen(data().test, trained).any()
    assert seen(data().test[:0], trained).tolist() == []


PINNED = -9198974490467749679
