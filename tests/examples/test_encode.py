"""The codes of a run's images: what is in the file, and every kind of bad input."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.encoding.config import EncodeConfig
from examples.encoding.encode import encode, main
from inference.bounds import latent_means
from inference.refinement import UNREFINED
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.pair import Pair
from rnp_pyro.api.report import EVALUATION_SEED


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "codes.npz"


@pytest.fixture
def refuse(refused):
    """Expect one line of error, and every file as it was; return the line."""
    return partial(refused, "encode")


@pytest.fixture(scope="module")
def opened(digits_run):
    return open_trained(digits_run[0])


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


# A tree of 3 parts with 2 sub-parts each, programs of size 4.
SHAPES = {
    "z.2": (9, 4),
    "posterior_scale.2": (9, 4),
    "z.1": (9, 3, 4),
    "action.1": (9, 3, 6),
    "pose.1": (9, 3, 2, 3),
    "z.0": (9, 6, 4),
    "action.0": (9, 6, 6),
    "pose.0": (9, 6, 2, 3),
    "images_index": (9,),
    "labels": (9,),
    "classes": (9,),
}


@pytest.mark.thorough
def test_what_is_in_the_file(call, digits_run, out):
    done = call("encode", digits_run[0], "--out", out, "--limit=9")
    found = arrays(out)
    assert {name: array.shape for name, array in found.items()} == SHAPES
    for name, array in found.items():
        if name == "classes":
            assert array.tolist() == [str(label) for label in found["labels"]]
            continue
        assert array.dtype == (np.int64 if name in ("images_index", "labels") else np.float32)
        assert np.isfinite(array).all()
    assert (found["posterior_scale.2"] > 0).all()
    assert done.lines[-1] == f"codes: {out}"
    assert "9 test images of mnist: z.2 [9, 4]" in done.lines[-2]
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.thorough
@pytest.mark.parametrize("split", ["test", "train", "validation"])
def test_splits(call, digits_run, opened, out, split):
    """Codes are those of the guide's mean, on the very pixels that the summary was measured on."""
    assert call("encode", digits_run[0], "--out", out, f"--split={split}", "--limit=3").status == 0
    found = arrays(out)
    assert found["images_index"].tolist() == [0, 1, 2]
    assert found["labels"].tolist() == getattr(opened.data, f"{split}_labels")[:3].tolist()
    images = opened.pair.prepare_fixed(getattr(opened.data, split), EVALUATION_SEED)[:3]
    expected = latent_means(opened.pair.guide, images)["z.2"]
    assert torch.allclose(torch.from_numpy(found["z.2"]), expected, atol=1e-6)
    parse = opened.pair.model.tree.unfold(expected)
    for level in (0, 1):
        nodes = parse.at(level)
        for name, value in {"z": nodes.z, "action": nodes.action, "pose": nodes.pose}.items():
            assert np.allclose(found[f"{name}.{level}"], value.detach().numpy(), atol=1e-5), (name, level)


@pytest.mark.thorough
def test_a_code_depends_neither_on_the_limit_nor_on_chunks(opened, monkeypatch):
    images = opened.pair.prepare_fixed(opened.data.test[:7], EVALUATION_SEED)
    whole = encode(opened.pair, images)
    monkeypatch.setattr("rnp_pyro.api.encoding.CHUNK", 3)
    for name, values in encode(opened.pair, images).items():
        assert torch.allclose(values, whole[name], atol=1e-5), name
    for name, values in encode(opened.pair, images[:2]).items():
        assert torch.allclose(values, whole[name][:2], atol=1e-5), name


@pytest.mark.thorough
def test_scales_of_random_nodes_have_their_sites_names(make_pair, images):
    """Of the guide's normal at each node, given its ancestors' means; but none of a flow."""
    for guide in ("ladder", "flow"):
        model, amortized = make_pair(guide=guide, node_latents="both")
        codes = encode(Pair(model, amortized, UNREFINED, binary=True, seed=0), images)
        sites = {f"z.{level}.{step}" for level in (0, 1) for step in (0, 1)}
        sites |= {name.replace("z", "action") for name in sites}
        root = {"2"} if guide == "ladder" else set()
        scales = {name for name in codes if name.startswith("posterior_scale.")}
        assert scales == {f"posterior_scale.{name}" for name in sites | root}
        assert codes["posterior_scale.action.0.1"].shape == (len(images), 2, 6)
        if guide == "flow":  # its nodes follow the prior, whose scale is one for all images
            assert torch.equal(*codes["posterior_scale.z.1.0"][:2])


@pytest.mark.thorough
def test_all_images_without_a_limit(grey_run, out):
    """A folder without classes has no labels; a limit may exceed the split."""
    assert main(EncodeConfig(run=str(grey_run[0]), out=str(out), split="train")) == out
    found = arrays(out)
    assert len(found["z.2"]) == len(found["images_index"]) == 21
    assert "labels" not in found
    main(EncodeConfig(run=str(grey_run[0]), out=str(out), limit=1000, overwrite=True))
    assert arrays(out)["images_index"].tolist() == [0, 1]


@pytest.mark.thorough
def test_flat_baseline(call, vae_run, out):
    assert call("encode", vae_run[0], "--out", out).status == 0
    assert {name: array.shape for name, array in arrays(out).items()} == {
        "z.0": (2, 4),
        "posterior_scale.0": (2, 4),
        "images_index": (2,),
        "files": (2,),
    }


@pytest.mark.thorough
def test_colour(call, colour_run, out):
    assert call("encode", colour_run[0], "--out", out).status == 0
    assert arrays(out)["pose.0"].shape == (2, 6, 2, 3)


@pytest.mark.thorough
def test_children_of_one_parent_are_adjacent(opened, digits_run, call, out):
    call("encode", digits_run[0], "--out", out, "--limit=2")
    found = arrays(out)
    tree, parts = opened.pair.model.tree, torch.from_numpy(found["z.1"])
    for part in range(3):
        # Each part, unfolded as a program of its own.
        alone = tree._unroll(1, parts[:, part : part + 1])
        assert np.allclose(found["z.0"][:, 2 * part : 2 * part + 2], alone.z.detach().numpy(), atol=1e-5)


@pytest.mark.thorough
def test_it_can_be_repeated(call, digits_run, out):
    call("encode", digits_run[0], "--out", out, "--limit=3")
    first = arrays(out)
    torch.manual_seed(7)
    assert call("encode", digits_run[0], "--out", out, "--limit=3", "--overwrite=true").status == 0
    for name, array in arrays(out).items():
        assert np.array_equal(array, first[name])


# Bad input


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--limit=0"], "--limit must be at least 1, got 0"),
        (["--limit=few"], "--limit: expected a whole number or null, got few; see --help"),
        (["--out=codes.json"], "expected a file that ends in .npz with --out, got codes.json"),
        (["stray"], "stray"),
    ],
)
def test_options_that_do_not_fit(refuse, digits_run, out, options, expected):
    assert expected in refuse(digits_run[0], "--out", out, *options)


@pytest.mark.thorough
def test_a_crash_leaves_nothing(digits_run, out, monkeypatch):
    def broken(file, **arrays):
        file.write(b"half")
        raise MemoryError

    monkeypatch.setattr(np, "savez", broken)
    with pytest.raises(MemoryError):
        main(EncodeConfig(run=str(digits_run[0]), out=str(out), limit=1))
    assert not list(out.parent.iterdir())


# --help


def test_help_names_every_key_and_shape(call):
    done = call("encode", "--help")
    assert done.status == 0
    text = " ".join(done.out.split())
    for said in ("z.K", "z.L", "action.L", "pose.L [N, nodes, 2, 3]", "posterior_scale.K", "[N, nodes, Z]", "labels"):
        assert said in text
    for option in ("RUN", "--out", "--split", "--limit", "--overwrite", "--accelerator"):
        assert option in text
