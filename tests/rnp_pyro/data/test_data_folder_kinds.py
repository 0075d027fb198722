"""Folders as people keep them: splits, classes, links, side files, formats, scales, copies."""

import io
import os
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
import pytest
from layouts import save
from PIL import Image, PngImagePlugin

from rnp_pyro.data import ImageData, load_images
from rnp_pyro.data.split import hold_out
from rnp_pyro.errors import UserError


def blob(at: int, size: int = 28) -> np.ndarray:
    """Return a bright L on black, different for each number under 200."""
    image = np.zeros((size, size), np.uint8)
    row, column = 1 + at // 14 % 14, 1 + at % 14
    image[row : row + 12, column : column + 3] = 255
    image[row + 9 : row + 12, column : column + 9] = 255
    return image


def fill(folder: Path, count: int = 12, start: int = 0, ending: str = "png") -> Path:
    for at in range(start, start + count):
        save(folder / f"{at:03d}.{ending}", blob(at))
    return folder


def load(folder: Path, **options) -> ImageData:
    return load_images(f"folder:{folder}", **options)


def sizes(data: ImageData) -> tuple[int, int, int]:
    return len(data.train), len(data.validation), len(data.test)


def files(data: ImageData) -> set[str]:
    return set(data.split("all").files or ())


def refused(folder: Path, **options) -> str:
    with pytest.raises(UserError) as caught:
        load(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


SPLIT_NAMES = [
    ("train", "test", "val"),
    ("Training", "TESTING", "Valid"),
    ("TRAIN", "Test", "validation"),
    ("my-train", "my-test", "my-val"),
    ("Train Set", "Test Set", "Val Set"),
]


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("names", SPLIT_NAMES)
def test_folders_of_splits_are_the_splits(tmp_path, names):
    for at, (name, count) in enumerate(zip(names, (10, 4, 3), strict=True)):
        for label, kind in enumerate(("a", "b")):
            fill(tmp_path / name / kind, count, start=40 * at + 20 * label)
    data = load(tmp_path)
    assert sizes(data) == (20, 6, 8)
    assert data.class_names == ("a", "b")
    for split, name in zip(("train", "test", "validation"), names, strict=True):
        part = data.split(split)
        assert part.files is not None
        assert part.labels is not None
        assert {file.split("/")[0] for file in part.files} == {name}
        assert [file.split("/")[1] for file in part.files] == ["ab"[label] for label in part.labels]


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize("layout", ["sets/{split}/{kind}", "{kind}/{split}", "{split}/deep/{kind}/images"])
def test_splits_and_classes_at_any_depth(tmp_path, layout):
    for at, split in enumerate(("train", "test")):
        for label, kind in enumerate(("a", "b")):
            fill(tmp_path / layout.format(split=split, kind=kind), 6, start=20 * (2 * at + label))
    data = load(tmp_path)
    assert len(data.test) == 12
    assert data.class_names == ("a", "b")
    assert data.test_files is not None
    assert all("test" in file.split("/") for file in data.test_files)


def test_without_a_validation_folder_some_are_held_out_of_the_training_images(tmp_path):
    fill(tmp_path / "train", 20)
    fill(tmp_path / "test", 5, start=50)
    data = load(tmp_path)
    assert sizes(data) == (19, 1, 5)
    assert data.class_names is None


def test_without_a_test_folder_some_are_held_out_of_the_training_images(tmp_path):
    fill(tmp_path / "train", 20)
    fill(tmp_path / "val", 5, start=50)
    assert sizes(load(tmp_path)) == (18, 5, 2)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(("only", "told"), [("test", ["test"]), ("val", ["validation"]), ("train", [])])
def test_a_single_split_is_trained_on_and_said(tmp_path, only, told):
    fill(tmp_path / only, 20)
    data = load(tmp_path)
    assert sizes(data) == (17, 1, 2)
    said = "the only split is {}: its images are trained on, less those that are held out of them"
    assert data.notes == tuple(said.format(split) for split in told)


def test_oblong_images_are_said(tmp_path):
    for at in range(6):
        save(tmp_path / f"{at}.png", np.pad(blob(at), ((0, 0), (0, 12))))
    (note,) = load(tmp_path).notes
    assert note.startswith("6 of 6 images are oblong, such as 40x28 pixels: they keep their proportions, scaled to fit")


def test_what_transparent_pixels_became_is_said(tmp_path):
    for at in range(6):
        drawn = np.full((28, 28), 255 * (at < 4), np.uint8)
        save(tmp_path / f"{at}.png", np.dstack([drawn, blob(at)]))
    notes = load(tmp_path).notes
    assert "transparent pixels of 4 of 6 images became black" in notes
    assert "transparent pixels of 2 of 6 images became white, since what is drawn is nearly black" in notes


def test_a_test_without_classes(tmp_path):
    fill(tmp_path / "train" / "a", 6)
    fill(tmp_path / "train" / "b", 6, start=20)
    fill(tmp_path / "test", 5, start=50)
    data = load(tmp_path)
    assert data.class_names == ("a", "b")
    assert data.test_labels is None
    assert data.train_labels is not None
    assert any("the test images have no classes" in note for note in data.notes)


@pytest.mark.parametrize("outside", ["loose.png", "more/1.png"])
def test_images_outside_of_the_splits(tmp_path, outside):
    fill(tmp_path / "train", 20)
    fill(tmp_path / "test", 5, start=50)
    save(tmp_path / outside, blob(99))
    message = refused(tmp_path)
    assert "got 1 of 26 outside them" in message
    assert outside in message


def test_a_test_folder_beside_classes_is_refused(tmp_path):
    for at, name in enumerate(("ape", "bee", "test")):
        fill(tmp_path / name, 5, start=20 * at)
    assert "expected a folder train beside the folder test" in refused(tmp_path)


def test_a_train_is_also_a_vehicle(tmp_path):
    for at, name in enumerate(("car", "train")):
        fill(tmp_path / name, 5, start=20 * at)
    data = load(tmp_path)
    assert data.class_names == ("car", "train")
    assert any("the folder train was taken for a class" in note for note in data.notes)


def test_names_that_only_hold_a_word_for_a_split_are_classes(tmp_path):
    for at, name in enumerate(("test pattern", "train station", "val d'isere")):
        fill(tmp_path / name, 5, start=20 * at)
    assert load(tmp_path).class_names == ("test pattern", "train station", "val d'isere")


def test_folders_below_a_class_belong_to_it(tmp_path):
    fill(tmp_path / "ape", 6)
    fill(tmp_path / "ape" / "2024", 6, start=20)
    fill(tmp_path / "bee" / "x" / "y", 6, start=40)
    assert load(tmp_path).class_names == ("ape", "bee/x/y")


def test_linked_folders_are_followed_once(tmp_path):
    fill(tmp_path / "elsewhere" / "one")
    fill(tmp_path / "data" / "two", start=50)
    root = tmp_path / "data"
    (root / "one").symlink_to(tmp_path / "elsewhere" / "one", target_is_directory=True)
    (root / "again").symlink_to(tmp_path / "elsewhere" / "one", target_is_directory=True)
    (root / "loop").symlink_to(root, target_is_directory=True)
    (root / "up").symlink_to(tmp_path, target_is_directory=True)
    (root / "two" / "beside").symlink_to(root / "two", target_is_directory=True)
    (root / "itself").symlink_to(root / "itself")
    data = load(root)
    assert len(data.split("all")) == 24
    assert {file.split("/")[0] for file in files(data)} == {"again", "two"}
    assert data.notes[1] == "passed over 4 links ('loop', ...) to a folder that is listed already or holds this one"


def test_a_linked_folder_that_leads_back_from_outside(tmp_path):
    root = fill(tmp_path / "data" / "own").parent
    fill(tmp_path / "other", start=50)
    (root / "other").symlink_to(tmp_path / "other", target_is_directory=True)
    (tmp_path / "other" / "back").symlink_to(root, target_is_directory=True)
    assert len(load(root).split("all")) == 24


@pytest.mark.thorough_after(5)
@pytest.mark.parametrize(
    "debris", ["@eaDir/000.png", "@Recycle", "__MACOSX", ".thumbnails/normal", "#recycle", "$RECYCLE.BIN"]
)
def test_what_file_servers_leave_behind_is_no_image(tmp_path, debris):
    fill(tmp_path / "cats")
    for at in range(12):
        save(tmp_path / "cats" / debris / f"SYNOPHOTO_THUMB_{at}.png", blob(50 + at))
    data = load(tmp_path)
    assert len(data.split("all")) == 12
    assert "passed over 1 folder" in data.notes[0]


@pytest.mark.thorough_after(7)
@pytest.mark.thorough_after(3)
@pytest.mark.parametrize("ending", ["tif", "TIFF", "bmp", "webp", "gif", "jfif", "JPE", "pgm", "ppm"])
def test_formats(tmp_path, ending):
    for at in range(8):
        path = tmp_path / f"{at}.{ending}"
        Image.fromarray(blob(at)).save(
            path, "JPEG" if ending in ("jfif", "JPE") else None, **({"lossless": True} if ending == "webp" else {})
        )
    data = load(tmp_path)
    assert sizes(data) == (6, 1, 1)
    for image, file in zip(data.train, data.train_files or (), strict=True):
        difference = abs(image[0].numpy().astype(int) - blob(int(file.split(".")[0])))
        assert difference.max() <= (60 if ending in ("jfif", "JPE") else 0)


def test_the_first_of_several_pictures(tmp_path):
    fill(tmp_path, 6)
    frames = [Image.fromarray(blob(at)) for at in (60, 61, 62)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "b.tif", save_all=True, append_images=frames[1:])
    data = load(tmp_path)
    everything = data.split("all")
    for name in ("a.gif", "b.tif"):
        assert everything.files is not None
        assert everything.images[everything.files.index(name)][0].numpy().tolist() == blob(60).tolist()
    assert "of 2 files with several pictures the first was taken" in data.notes


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    "large",
    [
        chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(3_000_000))),
        chunk(b"zTXt", b"text\0\0" + zlib.compress(bytes(3_000_000))),
        b"".join(chunk(b"tEXt", b"note\0" + b"x" * 900_000) for _ in range(80)),
    ],
    ids=["profile", "compressed text", "texts"],
)
def test_large_profiles_and_texts_are_left_out(tmp_path, large):
    fill(tmp_path, 6)
    content = (tmp_path / "003.png").read_bytes()
    (tmp_path / "003.png").write_bytes(content[:33] + large + content[33:])
    with pytest.raises(Exception):  # noqa: B017, PT011 (what Pillow alone makes of it)
        Image.open(tmp_path / "003.png").load()
    everything = load(tmp_path).split("all")
    assert everything.files is not None
    assert everything.images[everything.files.index("003.png")][0].numpy().tolist() == blob(3).tolist()


def test_small_texts_change_nothing(tmp_path):
    fill(tmp_path, 6)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "ä" * 10)
    Image.fromarray(blob(3)).save(tmp_path / "003.png", pnginfo=texts)
    assert len(load(tmp_path).split("all")) == 6


@pytest.mark.parametrize("count", [3, 9])
def test_all_unreadable_files_are_named_at_once(tmp_path, count):
    fill(tmp_path, 20)
    for at in range(count):
        path = tmp_path / f"{at:03d}.png"
        path.write_bytes(path.read_bytes()[:60])
    message = refused(tmp_path)
    assert f"got {count} of 20 that cannot" in message
    for at in range(min(count, 5)):
        assert f"{at:03d}.png" in message
    assert ("and 4 more" in message) == (count == 9)


def test_names_are_compared_in_one_form(tmp_path):
    """Copies on file systems that decompose accents have the same order, so the same split."""
    names = ["zebra", "äpfel", "azur", "étude", "Ärzte", "pony"]
    for form in ("NFC", "NFD"):
        for at, name in enumerate(names):
            for number in range(4):
                save(tmp_path / form / unicodedata.normalize(form, name) / f"{number}.png", blob(10 * at + number))
    composed, decomposed = load(tmp_path / "NFC"), load(tmp_path / "NFD")
    for split in ("train", "validation", "test"):
        assert getattr(composed, split).equal(getattr(decomposed, split))
        assert composed.split(split).files == decomposed.split(split).files
    assert composed.class_names == decomposed.class_names


@pytest.mark.skipif(os.name != "posix", reason="names that are not text exist on POSIX only")
def test_a_name_that_is_not_text(tmp_path):
    fill(tmp_path, 6)
    try:
        (tmp_path / "000.png").rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    except OSError:
        pytest.skip("this file system refuses such names")
    assert r"\udcff.png" in files(load(tmp_path))


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(("divisor", "white"), [(255, 1), (16, 15), (85, 3)])
def test_masks_of_few_values_are_scaled_and_it_is_said(tmp_path, divisor, white):
    for at in range(12):
        save(tmp_path / f"{at}.png", blob(at) // divisor)
    data = load(tmp_path)
    assert int(data.train.max()) == 255
    assert data.appearance.white == white
    assert data.notes == (
        f"the brightest pixel of all is {white} where 255 is white: {white} was taken as white; "
        "--white full leaves it as it is",
    )
    assert int(load(tmp_path, white="full").train.max()) == white
    assert int(load(tmp_path, white=2 * white).train.max()) in (127, 128)


@pytest.mark.thorough_after(1)
@pytest.mark.thorough_after(2)
@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_few_bits_in_16(tmp_path, bits, ending):
    for at in range(12):
        save(tmp_path / f"{at}.{ending}", (blob(at) > 0).astype(np.uint16) * (2**bits - 1))
    data = load(tmp_path)
    assert int(data.train.max()) == 255
    assert f"the brightest pixel of all is {2**bits - 1} where 65535 is white" in data.notes[0]
    assert data.train.flatten().unique().tolist() == [0, 255]


def test_16_bits_that_are_used_are_left_alone(tmp_path):
    for at in range(12):
        save(tmp_path / f"{at}.png", blob(at).astype(np.uint16) * 257)
    data = load(tmp_path)
    assert data.notes == ()
    assert data.appearance.white is None


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_floating_point_tiffs(tmp_path, top):
    for at in range(12):
        Image.fromarray(blob(at).astype(np.float32) / 255 * top).save(tmp_path / f"{at}.tif")
    assert load(tmp_path).train.flatten().unique().tolist() == [0, 255]


@pytest.mark.parametrize("value", [np.nan, -1.0, 1e6])
def test_floating_point_tiffs_of_no_pixels(tmp_path, value):
    fill(tmp_path)
    Image.fromarray(np.full((28, 28), value, np.float32)).save(tmp_path / "x.tif")
    message = refused(tmp_path)
    assert "x.tif" in message
    assert "it holds values from" in message


def test_dark_images_are_named(tmp_path):
    for at in range(12):
        save(tmp_path / f"{at}.png", blob(at) // 4)
    data = load(tmp_path)
    assert int(data.train.max()) == 63
    assert "--white 63 brightens them" in data.notes[0]


def test_dark_ink_on_a_bright_ground_is_inverted_and_it_is_said(tmp_path):
    for at in range(12):
        save(tmp_path / "dark" / f"{at}.png", 255 - blob(at))
        save(tmp_path / "bright" / f"{at}.png", blob(at))
    data, bright = load(tmp_path / "dark"), load(tmp_path / "bright")
    assert data.train.equal(bright.train)
    assert data.appearance.inverted
    assert not bright.appearance.inverted
    assert "12 of 12 images show dark ink on a bright ground" in data.notes[0]
    assert "--invert false" in data.notes[0]
    left = load(tmp_path / "dark", invert=False)
    assert left.train.equal(255 - bright.train)
    assert "--invert true" in left.notes[0]
    assert load(tmp_path / "dark", invert=True).train.equal(bright.train)
    turned = load(tmp_path / "bright", invert=True)
    assert turned.train.equal(255 - bright.train)
    assert "only 0 of 12" in turned.notes[0]


def test_colour_is_not_inverted_unasked(tmp_path):
    for at in range(12):
        pixels = np.full((28, 28, 3), 250, np.uint8)
        pixels[5:15, at : at + 6] = (200, 20, 20)
        save(tmp_path / f"{at}.png", pixels)
    data = load(tmp_path)
    assert not data.appearance.inverted
    assert "--invert true exchanges dark and bright, and each colour with its opposite" in data.notes[0]
    assert load(tmp_path, invert=True).train.equal(255 - data.train)


def test_both_kinds_of_ground_are_named(tmp_path):
    for at in range(12):
        save(tmp_path / f"{at}.png", blob(at) if at % 2 else 255 - blob(at))
    data = load(tmp_path)
    assert not data.appearance.inverted
    assert "6 of 12 images show dark on a bright ground, the others do not" in data.notes[0]


def test_black_on_transparent_is_dark_ink_on_white(tmp_path):
    for at in range(12):
        save(tmp_path / f"{at}.png", np.dstack([np.zeros((28, 28, 3), np.uint8), blob(at)]))
    data = load(tmp_path)
    assert data.appearance.inverted
    assert data.train.flatten().unique().tolist() == [0, 255]


def test_even_images_are_counted(tmp_path):
    fill(tmp_path)
    for name, value in (("black", 0), ("white", 255), ("grey", 100)):
        save(tmp_path / f"{name}.png", np.full((28, 28), value, np.uint8))
    notes = [note for note in load(tmp_path).notes if "even" in note]
    assert len(notes) == 1
    assert notes[0].startswith("3 of 15 images are even (1 black, 1 white), such as '")


def test_a_folder_that_is_all_black(tmp_path):
    for at in range(12):
        save(tmp_path / f"{at}.png", np.zeros((28, 28), np.uint8))
    assert any(note.startswith("12 of 12 images are even (12 black)") for note in load(tmp_path).notes)


def test_nearly_black_images_among_others(tmp_path):
    fill(tmp_path)
    save(tmp_path / "mask.png", blob(99) // 255 * 12)
    assert any(note.startswith("1 of 13 images are nearly black, such as 'mask.png'") for note in load(tmp_path).notes)


def test_copies_in_several_splits_are_counted(tmp_path):
    fill(tmp_path / "train", 20)
    fill(tmp_path / "test", 5, start=17)
    fill(tmp_path / "val", 5, start=60)
    assert load(tmp_path).notes == (
        "3 of 5 test images are copies of training images, pixel for pixel, such as 'test/017.png': scores on them say "
        "nothing of new images; remove the copies",
    )


def test_palettes_and_alpha(tmp_path):
    fill(tmp_path, 4)
    Image.fromarray(blob(50)).convert("P").save(tmp_path / "p.png")
    save(tmp_path / "la.png", np.dstack([blob(51), np.full((28, 28), 255, np.uint8)]))
    out = io.BytesIO()
    Image.fromarray(blob(52) > 0).save(out, "PNG")
    (tmp_path / "one.png").write_bytes(out.getvalue())
    everything = load(tmp_path).split("all")
    assert everything.files is not None
    for name, at in (("p.png", 50), ("la.png", 51), ("one.png", 52)):
        assert everything.images[everything.files.index(name)][0].numpy().tolist() == blob(at).tolist()


def test_a_folder_can_be_mixed_as_before_folders_were_splits(tmp_path):
    """The images, and the images held out, of runs from then: without links, by the paths as they are written."""
    fill(tmp_path / "set" / "train" / "a", 12)
    fill(tmp_path / "set" / "test" / "a", 8, start=12)
    fill(tmp_path / "elsewhere", 6, start=30)
    (tmp_path / "set" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    data = load(tmp_path / "set", splits="mixed")
    paths = sorted(path.relative_to(tmp_path / "set").as_posix() for path in (tmp_path / "set").glob("t*/a/*.png"))
    assert sizes(data) == (17, 1, 2)
    assert data.class_names is None
    _, held_out = hold_out(None, 20, 2)
    assert data.test_files == tuple(paths[at] for at in held_out.tolist())


def test_classes_from_before_folders_were_splits(tmp_path):
    for at, name in enumerate(("test", "train")):
        fill(tmp_path / name, 10, start=10 * at)
    data = load(tmp_path, splits="mixed")
    assert data.class_names == ("test", "train")
    assert data.test_labels is not None
    assert sorted(data.test_labels.tolist()) == [0, 1]


def test_masks_beside_their_images_are_said(tmp_path):
    fill(tmp_path / "images")
    fill(tmp_path / "masks")
    (note,) = (note for note in load(tmp_path).notes if "masks" in note and "name the folder of the images" in note)
    assert note.startswith("the folder 'masks' has a file for each of 'images'")
    (tmp_path / "other").mkdir()
    fill(tmp_path / "other" / "masks", 12)
    fill(tmp_path / "other" / "faces", 12, start=50)  # a class of carnival masks
    assert not [note for note in load(tmp_path / "other").notes if "a file for each" in note]


def test_what_is_no_folder_is_named_as_what_it_is(tmp_path):
    fill(tmp_path / "set", 4)
    np.save(tmp_path / "a.npy", np.zeros((4, 8, 8), np.uint8))
    (tmp_path / "a.zip").touch()
    assert f"name it as array:{tmp_path / 'a.npy'}" in refused(tmp_path / "a.npy")
    assert "unpack it" in refused(tmp_path / "a.zip")
    assert f"name the folder that it is in, folder:{tmp_path / 'set'}" in refused(tmp_path / "set" / "000.png")
    for name, told in (
        (str(tmp_path / "set"), f"name it as folder:{tmp_path / 'set'}"),
        (str(tmp_path / "a.npy"), f"name it as array:{tmp_path / 'a.npy'}"),
        (f"array:{tmp_path / 'set' / '000.png'}", f"name the folder of your images, folder:{tmp_path / 'set'}"),
    ):
        with pytest.raises(UserError) as caught:
            load_images(name)
        assert told in str(caught.value)
