"""Archives of public data sets from miniatures of their official files."""

import numpy as np
import pytest
from layouts import write_eth80, write_idx, write_omniglot


def test_an_archive_is_made_and_read(call, tmp_path):
    write_omniglot(tmp_path / "official")
    (tmp_path / "out").mkdir()
    done = call("prepare_data", "omniglot", "--source", str(tmp_path / "official"), "--out", str(tmp_path / "out"))
    assert done.status == 0, done
    assert done.err == ""
    assert f"--data omniglot --data_dir {tmp_path / 'out'}" in done.out
    with np.load(tmp_path / "out" / "omniglot.npz", allow_pickle=False) as archive:
        assert archive["images_packed"].shape == (32, 1379)
        assert archive["images28"].shape == (32, 28, 28)
        assert archive["alphabet_names"].tolist() == ["Arcadian", "Greek", "Angelic"]
        assert archive["alphabet_split"].tolist() == [0, 0, 1]


@pytest.mark.thorough
def test_by_default_it_is_written_where_it_is_looked_for(call, tmp_path, monkeypatch):
    monkeypatch.setenv("RNP_DATA", str(tmp_path / "sets"))
    write_idx(tmp_path / "kmnist")
    done = call("prepare_data", "kmnist", "--source", str(tmp_path / "kmnist"))
    assert done.status == 0, done
    assert (tmp_path / "sets" / "kmnist.npz").is_file()
    again = call("prepare_data", "kmnist", "--source", str(tmp_path / "kmnist"))
    assert again.status == 2
    assert "--overwrite true" in again.err
    assert call("prepare_data", "kmnist", "--source", str(tmp_path / "kmnist"), "--overwrite=true").status == 0


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["folder:x", "--source", "."], "expected a data set that has an archive, one of mnist, "),
        (["eth80", "--source", "{folder}/none"], "does not exist"),
        (["eth80", "--source", "{folder}/file"], "is a file: unpack it"),
        (["eth80", "--source", "{folder}/eth80", "--out", "{folder}/none"], "make "),
    ],
)
def test_refusals(call, tmp_path, arguments, told):
    write_eth80(tmp_path / "eth80")
    (tmp_path / "file").touch()
    done = call("prepare_data", *(argument.format(folder=tmp_path) for argument in arguments))
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert told in done.err
    assert len(done.err.splitlines()) == 1
