"""A run beside images other than its own: what it was trained on is never measured as new."""

import json
from dataclasses import replace

import pytest
import torch

from rnp_pyro.api.data import as_trained
from rnp_pyro.api.record import other_ground, other_ink, read_record, record_of, write_record
from rnp_pyro.data import ImageData, images_from_arrays
from rnp_pyro.data.identity import image_hashes, pack_hashes, unpack_hashes
from rnp_pyro.errors import UserError


def images(start: int, count: int) -> torch.Tensor:
    """Numbered images, no two alike."""
    found = torch.zeros(count, 8, 8, dtype=torch.uint8)
    for at in range(count):
        found[at].view(-1)[torch.arange(16)] = torch.tensor([255 * int(bit) for bit in f"{start + at:016b}"]).byte()
    return found


def data_set(train: torch.Tensor, test: torch.Tensor) -> ImageData:
    labels = {f"y_{name}": torch.arange(len(one)) % 2 for name, one in (("train", train), ("test", test))}
    return images_from_arrays({"x_train": train, "x_test": test, **labels}, invert=False)


OWN = data_set(images(1, 40), images(100, 10))


def test_its_own_images_are_taken_as_they_are():
    assert as_trained(record_of(OWN), OWN, named=False) is OWN


def test_changed_images_are_refused_unless_they_are_named():
    other = data_set(images(1, 40), images(101, 10))
    with pytest.raises(UserError, match=r"has changed since .*test: 10 images then, 10 now, not the same ones"):
        as_trained(record_of(OWN), other, named=False)


def test_test_images_that_were_trained_on_are_training_images(capsys):
    trained = OWN.train[:3, 0]
    other = data_set(images(200, 40), torch.cat([images(300, 4), trained, images(310, 3)]))
    found = as_trained(record_of(OWN), other, named=True)
    assert found.test.equal(torch.cat([other.test[:4], other.test[7:]]))
    assert found.test_labels is not None
    assert found.test_labels.tolist() == [0, 1, 0, 1, 1, 0, 1]
    assert found.train[-3:, 0].equal(trained)
    assert len(found.split("all")) == len(other.split("all"))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "the run was trained on 3 of 10 test images, which count as training images here" in said


def test_other_images_are_said_to_be_new(capsys):
    other = data_set(images(200, 40), images(300, 10))
    assert as_trained(record_of(OWN), other, named=True) is other
    assert "the run was trained on none of its validation and test images" in capsys.readouterr().err


def test_a_record_from_before_hashes_does_not_tell(capsys, tmp_path):
    record = replace(record_of(OWN), trained_on="")
    other = data_set(images(200, 40), OWN.train[:10, 0])
    assert as_trained(record, other, named=True) is other
    assert "the run may have been trained on some" in capsys.readouterr().err


def test_a_record_can_be_read_again(tmp_path):
    floats = images_from_arrays({"images": images(1, 40).double() / 255}, invert=False)
    for data in (OWN, floats):
        write_record(record_of(data), tmp_path)
        assert read_record(tmp_path) == record_of(data)


@pytest.mark.parametrize(("ground", "ink"), [(255, 20), (130, 30), (70, 20)])
def test_paper_is_another_ground_for_a_run_on_black(ground, ink):
    """White, in shade, in the dark: what Python and the commands warn of."""
    paper = torch.full((4, 1, 8, 8), ground, dtype=torch.uint8)
    paper[:, :, 2:6, 3:5] = ink
    bright = torch.full((8, 1, 8, 8), 0, dtype=torch.uint8)
    bright[:, :, 2:6, 3:5] = 200
    record = replace(record_of(OWN), ground=1.0)
    assert record.on_black
    assert other_ground(record, paper) == "bright"
    assert "255 - images may be meant" in str(other_ink(record, paper))
    assert other_ground(record, bright) is None
    shaded = replace(record, ground=90.0)  # photographs, of which some have such grounds
    assert not shaded.on_black
    assert other_ground(shaded, paper) == ("bright" if ground == 255 else None)


def test_a_record_from_before_its_ground_was_kept(tmp_path):
    write_record(record_of(OWN), tmp_path)
    fields = json.loads((tmp_path / "data.json").read_text())
    del fields["ground"]
    (tmp_path / "data.json").write_text(json.dumps(fields))
    record = read_record(tmp_path)
    assert record == replace(record_of(OWN), ground=None)


def test_hashes_are_packed_without_loss():
    hashes = image_hashes(images(0, 50)[:, None])
    assert unpack_hashes(pack_hashes(hashes)).tolist() == sorted(hashes.tolist())
    assert unpack_hashes(pack_hashes(hashes[:0])).tolist() == []
    with pytest.raises(ValueError, match=r".+"):
        unpack_hashes("not those")
