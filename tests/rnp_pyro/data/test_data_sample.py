import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rnp_pyro.data import load_images
from rnp_pyro.data.archive import read_archive
from rnp_pyro.data.make_sample import draw_sample, main, write_sample
from rnp_pyro.data.mnist_sample import SAMPLE
from rnp_pyro.errors import UserError

FULL = os.environ.get("RNP_DATA", "")


def test_size_of_the_bundled_file():
    assert SAMPLE.stat().st_size <= 2_200_000
    assert SAMPLE.with_name("ATTRIBUTION.md").is_file()


def test_sample():
    data = load_images("mnist-sample")
    assert data.name == "mnist-sample"
    assert data.image_shape == (1, 28, 28)
    assert (len(data.train), len(data.validation), len(data.test)) == (9500, 500, 2000)
    labels = (data.train_labels, data.validation_labels, data.test_labels)
    for part, per_class in zip(labels, (950, 50, 200), strict=True):
        assert part is not None
        assert part.bincount().tolist() == [per_class] * 10
        assert part[:100].unique().numel() == 10  # shuffled
    # The mean of MNIST's training pixels is 0.1307; the sample's standard error is about 0.0004.
    assert abs(data.train.float().mean() / 255 - 0.1307) < 0.002


def test_no_image_is_in_two_parts():
    data = load_images("mnist-sample")
    seen = [{image.numpy().tobytes() for image in part} for part in (data.train, data.validation, data.test)]
    assert [len(part) for part in seen] == [9500, 500, 2000]
    assert len(set.union(*seen)) == 12000


def test_draw_sample():
    labels = torch.arange(5).repeat(20)
    drawn = draw_sample(labels, 7, seed=0)
    assert len(drawn.unique()) == 35
    assert labels[drawn].bincount().tolist() == [7] * 5
    assert not labels[drawn].equal(labels[drawn].sort().values)
    assert drawn.equal(draw_sample(labels, 7, seed=0))
    assert not drawn.equal(draw_sample(labels, 7, seed=1))


def test_too_few_of_a_class():
    with pytest.raises(UserError, match="at least 21 images of class 0, got 20"):
        draw_sample(torch.arange(5).repeat(20), 21, seed=0)


def small_archive(path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 10
    images = rng.integers(0, 256, (40, 28, 28), dtype=np.uint8)
    np.savez_compressed(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    return path


def test_written_sample_is_reproducible(tmp_path):
    source = read_archive(small_archive(tmp_path / "all.npz"))
    for name in ("a.npz", "b.npz"):
        write_sample(source, tmp_path / name, 2, 1)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    sample = read_archive(tmp_path / "a.npz")
    assert (len(sample.train), len(sample.test or ())) == (20, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "all.npz", "b.npz"]


def test_bad_input_to_the_command(tmp_path, capsys):
    assert main([str(tmp_path / "none.npz"), str(tmp_path / "out.npz")]) == 2
    assert main([str(small_archive(tmp_path / "all.npz")), str(tmp_path / "out.npz")]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["all.npz"]


def test_out_that_cannot_be_written(tmp_path):
    source = read_archive(small_archive(tmp_path / "all.npz"))
    with pytest.raises(UserError, match="No such file"):
        write_sample(source, tmp_path / "nowhere" / "out.npz", 1, 1)


@pytest.mark.thorough
@pytest.mark.data
@pytest.mark.skipif(not FULL, reason="RNP_DATA does not name a folder with the full data sets")
def test_the_command_makes_the_bundled_file(tmp_path):
    out = tmp_path / "sample.npz"
    command = [sys.executable, "-W", "error", "-m", "rnp_pyro.data.make_sample", str(Path(FULL, "mnist.npz")), str(out)]
    subprocess.run(command, check=True)
    made, bundled = read_archive(out), read_archive(SAMPLE)
    assert made.train.images.equal(bundled.train.images)
    assert made.test.images.equal(bundled.test.images)
    assert made.train.labels is not None
    assert bundled.train.labels is not None
    assert made.train.labels.equal(bundled.train.labels)
