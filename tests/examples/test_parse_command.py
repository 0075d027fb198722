"""Images parsed into files: what is in them, what was said, and every kind of bad input."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from examples.parsing.config import ParseConfig
from examples.parsing.parse import main
from examples.shared.chosen import choose
from inference.bounds import latent_means
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.part_tree.files import load_tree

FILES = {"parse.json", "parse.svg", "parse.png"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A dark 7 on white, off centre."""
    image = Image.new("L", (300, 200), 255)
    ImageDraw.Draw(image).line([(200, 30), (270, 30), (220, 150)], fill=0, width=10)
    image.save(tmp_path / "drawn.png")
    return tmp_path / "drawn.png"


@pytest.fixture
def refuse(refused):
    """Expect one line of error, and every file as it was; return the line."""
    return partial(refused, "parse")


@pytest.mark.thorough
def test_one_image(call, digits_run, out):
    done = call("parse", digits_run[0], "--index", 3, "--out", out)
    assert {path.name for path in out.iterdir()} == FILES
    assert done.lines[-1].startswith("test-3: squared error ")
    assert "folds back to the canvas within 0.0e+00" in done.lines[-1]
    with Image.open(out / "parse.png") as drawing:
        assert drawing.size[0] > 500
    assert (out / "parse.svg").read_text().startswith("<?xml")
    assert json.loads((out / "parse.json").read_text())["about"]["image"] == "test 3"


@pytest.mark.thorough
def test_the_file_folds_back_to_the_canvas(digits_run, out):
    """Of the guide's mean, on the very pixels that evaluation draws for this image."""
    main(ParseConfig(str(digits_run[0]), str(out), index=(2, 5)))
    run = open_trained(digits_run[0])
    images = run.pair.prepare_fixed(run.data.test, EVALUATION_SEED)
    means = latent_means(run.pair.guide, images)["z.2"]
    for number in (2, 5):
        value = load_tree(out / f"test-{number}" / "parse.json")
        with torch.no_grad():
            canvas = run.pair.model.tree.fold(run.pair.model.tree.unfold(means[number : number + 1]))[0]
        assert (value.fold() - canvas).abs().max() < 1e-5
        assert torch.allclose(value.parse.root, means[number], atol=1e-5)


@pytest.mark.thorough
def test_without_patches_the_run_is_needed(call, digits_run, out):
    done = call("parse", digits_run[0], "--index", 0, "--out", out, "--patches=false")
    assert "folds back to the canvas within" in done.lines[-1]
    tree = open_trained(digits_run[0]).pair.model.tree
    assert '"patch": [' not in (out / "parse.json").read_text()
    load_tree(out / "parse.json", tree)


@pytest.mark.thorough
def test_a_drawn_digit(call, digits_run, out, drawn):
    done = call("parse", digits_run[0], "--image", drawn, "--out", out)
    assert done.lines[0].startswith(f"{drawn}: dark ink on a bright ground, cut out ")
    assert done.lines[1].startswith("drawn: squared error")
    assert {path.name for path in out.iterdir()} == FILES


@pytest.mark.thorough
def test_what_the_model_sees_of_a_drawn_digit(digits_run, drawn):
    chosen = choose(open_trained(digits_run[0]), [], [str(drawn)], "test", as_is=False)
    pixels = chosen.pixels[0, 0]
    assert pixels.max() == 255
    assert pixels[0].max() == 0
    assert chosen.pictures[0] is not None
    assert chosen.pictures[0].shape == (3, 200, 300)
    as_is = choose(open_trained(digits_run[0]), [], [str(drawn)], "test", as_is=True)
    assert as_is.pixels[0, 0, 0].min() == 255, "white paper stays white"
    assert "otherwise as it is" in as_is.notes[0]


@pytest.mark.thorough
def test_images_of_other_data_are_taken_as_they_are(colour_run, tmp_path, drawn):
    chosen = choose(open_trained(colour_run[0]), [1], [str(drawn)], "train", as_is=False)
    assert chosen.pixels.shape == (2, 3, 12, 12)
    assert chosen.names == ("train-1", "drawn")
    assert "otherwise as it is" in chosen.notes[0]


@pytest.mark.thorough
def test_a_photograph_for_a_run_of_bright_ink_on_black(call, grey_run, out, drawn):
    """The same outcome as of the file with dark and bright exchanged; as it is, a warning and what mends it."""
    with Image.open(drawn) as image:
        Image.eval(image, lambda pixel: 255 - pixel).save(drawn.with_name("bright.png"))
        Image.eval(image, lambda pixel: 40 + pixel // 2).save(drawn.with_name("photo.png"))
    photo, bright = drawn.with_name("photo.png"), drawn.with_name("bright.png")
    done = call("parse", grey_run[0], "--image", photo, "--out", out)
    assert done.lines[0].endswith("dark ink on a bright ground made bright ink on black (--as_is true leaves it)")
    assert done.err == ""
    chosen = choose(open_trained(grey_run[0]), [], [str(photo), str(bright)], "test", as_is=False)
    assert (chosen.grey[0] - chosen.grey[1]).abs().mean() < 0.03
    left = call("parse", grey_run[0], "--image", photo, "--out", out, "--as_is=true", "--overwrite=true")
    assert left.err == (
        f"warning: {photo} has a bright ground, and the images of the run a dark one: leave --as_is out, and ink is "
        "told from paper\n"
    )


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("command", "options"),
    [("sample", ["--particles=4", "--num=1", "--given"]), ("edit", ["truncate", "--image"])],
)
def test_other_commands_warn_of_another_ground(call, digits_run, out, drawn, command, options):
    done = call(command, digits_run[0], *options, drawn, "--out", out, "--as_is=true")
    assert f"warning: {drawn} has a bright ground" in done.err, done


@pytest.mark.thorough
def test_several_images_of_one_name(call, digits_run, out, drawn, tmp_path):
    other = tmp_path / "other" / "drawn.png"
    other.parent.mkdir()
    other.write_bytes(drawn.read_bytes())
    call("parse", digits_run[0], "--index", 1, 1, "--image", drawn, other, "--out", out)
    assert {path.name for path in out.iterdir()} == {"test-1", "test-1-2", "drawn", "drawn-2"}


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["colour_run", "grey_run"])
def test_other_runs(request, call, out, name):
    assert call("parse", request.getfixturevalue(name)[0], "--index", 0, "--out", out).status == 0


# Bad input


def test_no_image(refuse, digits_run, out):
    assert "expected images to parse, got none" in refuse(digits_run[0], "--out", out)


@pytest.mark.thorough
def test_a_good_image_beside_a_bad_one_writes_nothing(refuse, digits_run, out, drawn, tmp_path):
    (tmp_path / "bad.png").touch()
    refuse(digits_run[0], "--image", drawn, tmp_path / "bad.png", "--out", out)


@pytest.mark.thorough
def test_pictures_of_any_kind_are_read(call, digits_run, tmp_path, drawn):
    """16 bits, alpha, and a photograph on its side."""
    with Image.open(drawn) as image:
        grey = np.asarray(image)
    kinds = {
        "wide.png": Image.fromarray(grey.astype(np.uint16) * 257),
        "alpha.png": Image.fromarray(np.dstack([np.zeros((*grey.shape, 3), np.uint8), 255 - grey])),
        "photo.jpg": Image.fromarray(grey).transpose(Image.Transpose.ROTATE_90),
    }
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, image in kinds.items():
        image.save(tmp_path / name, **({"exif": exif} if name.endswith("jpg") else {}))
    run = open_trained(digits_run[0])
    files = [str(tmp_path / name) for name in kinds]
    chosen = choose(run, [], [str(drawn), *files], "test", as_is=False)
    for pixels in chosen.grey[1:]:
        assert (pixels - chosen.grey[0]).abs().mean() < 0.02


@pytest.mark.thorough
def test_a_files_parse_does_not_depend_on_its_place(call, digits_run, drawn, out):
    alone = call("parse", digits_run[0], "--image", drawn, "--out", out / "alone").lines[-1]
    second = call("parse", digits_run[0], "--index", 1, 2, "--image", drawn, "--out", out / "second").lines
    assert alone.split(";")[0] in [line.split(";")[0] for line in second]
