"""What a run knows of its images without looking at them: ``data.json`` in its folder.

With it a run opens anywhere: moved, copied, its images gone. When images are looked at again, their fingerprint says
whether they are still the same ones, divided in the same way, and the hashes of its training images which of others it
was trained on.
"""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from rnp_pyro.checkpoint import RECORD as RECORD
from rnp_pyro.checkpoint import read_json, write_json
from rnp_pyro.data import ImageData
from rnp_pyro.data.identity import fingerprint, image_hashes, pack_hashes, seen, unpack_hashes
from rnp_pyro.data.image_data import SPLITS, Appearance, Scale
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.ground import dark_on_bright
from rnp_pyro.shapes import Bool, ByteImages, Tensor

LATER = {"trained_on", "scale", "ground"}
"""Fields that records of earlier versions lack."""

Ink = Literal["bright", "dark"]

BLACK = 48
"""Mean of the outermost pixels, of 255, under which a ground is black."""


@dataclass(frozen=True)
class DataRecord:
    """What a run keeps of its data set.

    Args:
        name: What the user called it, such as ``mnist-sample`` or ``folder:photos``.
        image_shape: Channels, rows and columns of every image.
        class_names: Names of the classes, from class 0 on; None where they have none.
        appearance: What they look like, which is what a picture of the user's own is made to look like.
        ink: What is drawn: bright on a dark ground, or dark on a bright one.
        num_images: Number of images of each split.
        fingerprints: A short text for each split that tells its images from others, in whatever order.
        trained_on: The hashes of the training images (``pack_hashes``); empty in records from before they were kept.
        ground: Mean of the training images' outermost pixels, 0 to 255; None in records from before it was kept.
    """

    name: str
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...] | None
    appearance: Appearance
    ink: Ink
    num_images: dict[str, int]
    fingerprints: dict[str, str]
    trained_on: str = field(default="", repr=False)
    ground: float | None = None

    @property
    def on_black(self) -> bool:
        """Whether these are grey images of bright ink on black, where paper has no place."""
        return self.image_shape[0] == 1 and self.ink == "bright" and (self.ground or 0.0) < BLACK


def record_of(data: ImageData) -> DataRecord:
    """Return what a run is to keep of its data set."""
    return DataRecord(
        name=data.name,
        image_shape=data.image_shape,
        class_names=data.class_names,
        appearance=data.appearance,
        ink=ink_of(data.train),
        num_images={split: len(getattr(data, split)) for split in SPLITS},
        fingerprints=fingerprint(data),
        trained_on=pack_hashes(image_hashes(data.train)),
        ground=round(_ground(data.train), 2),
    )


def was_trained_on(record: DataRecord, images: ByteImages) -> Bool[Tensor, "N"]:
    """Return which images are, pixel for pixel, among those that the run was trained on."""
    return seen(images, unpack_hashes(record.trained_on))


def ink_of(images: ByteImages) -> Ink:
    """Return what is drawn, judged by the images' outermost pixels: a ground darker than half has bright ink."""
    return "bright" if _ground(images) < 127.5 else "dark"


def other_ink(record: DataRecord, images: ByteImages) -> str | None:
    """Return a line where grey images clearly have the other ground than those of the record, else None."""
    ground = other_ground(record, images)
    if ground is None:
        return None
    own = "dark" if ground == "bright" else "bright"
    return f"these images have a {ground} ground, and those of the run a {own} one: 255 - images may be meant"


def other_ground(record: DataRecord, images: ByteImages) -> Ink | None:
    """Return the ground of grey images where it clearly is not that of the record's: bright or dark.

    Paper is seldom white. So of a run on black, most images with dark ink on grey paper count, too.
    """
    if record.image_shape[0] > 1:
        return None
    ground = _ground(images)
    paper = record.on_black and dark_on_bright(images, paper=True).double().mean() > 0.5
    if record.ink == "bright" and (ground > 191 or paper):
        return "bright"
    return "dark" if record.ink == "dark" and ground < 64 else None


def _ground(images: ByteImages) -> float:
    """Return the mean of the images' outermost pixels, 0 to 255."""
    edges = [images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]]
    return sum(float(edge.double().mean()) for edge in edges) / len(edges)


def write_record(record: DataRecord, folder: Path) -> None:
    """Write a run's record."""
    write_json(folder / RECORD, asdict(record))


def read_record(folder: Path) -> DataRecord | None:
    """Read a run's record; None if the run was written before there were any.

    Raises:
        UserError: If the file is damaged.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    read = read_json(path)
    if not _sound(read):
        raise UserError(
            f"expected what a run keeps of its data in {path}, got something else: remove the file, and open the run "
            "once with its data (--data)"
        )
    classes, appearance = read["class_names"], read["appearance"]
    scale = appearance.get("scale")
    return DataRecord(
        **{
            **read,
            "image_shape": tuple(read["image_shape"]),
            "class_names": None if classes is None else tuple(classes),
            "appearance": Appearance(**{**appearance, "scale": None if scale is None else Scale(**scale)}),
        }
    )


def differences(record: DataRecord, data: ImageData) -> list[str]:
    """Describe in which splits a data set's images are not those of the record; nothing where all are the same."""
    found = fingerprint(data)
    return [
        f"{split}: {record.num_images[split]} images then, {len(getattr(data, split))} now"
        + (", not the same ones" if record.num_images[split] == len(getattr(data, split)) else "")
        for split in SPLITS
        if found[split] != record.fingerprints[split]
    ]


def _sound(read: Any) -> bool:
    """Return whether what was read from a file is a record."""
    if not _has_fields(read, DataRecord):
        return False
    shape, classes = read["image_shape"], read["class_names"]
    per_split = [read["num_images"], read["fingerprints"]]
    return (
        isinstance(read["name"], str)
        and isinstance(shape, list)
        and len(shape) == 3
        and all(isinstance(size, int) and 0 < size < 2**16 for size in shape)
        and (classes is None or (isinstance(classes, list) and all(isinstance(name, str) for name in classes)))
        and _sound_appearance(read["appearance"])
        and read["ink"] in ("bright", "dark")
        and all(isinstance(values, dict) and set(values) == set(SPLITS) for values in per_split)
        and all(isinstance(count, int) and count >= 0 for count in read["num_images"].values())
        and all(isinstance(text, str) for text in read["fingerprints"].values())
        and _sound_hashes(read.get("trained_on", ""))
        and isinstance(read.get("ground"), int | float | None)
    )


def _has_fields(read: Any, kind: type) -> bool:
    """Return whether these are the fields of a dataclass."""
    return isinstance(read, dict) and set(read) | LATER == {one.name for one in fields(kind)} | LATER


def _sound_hashes(read: Any) -> bool:
    try:
        unpack_hashes(read)
    except (TypeError, ValueError):
        return False
    return True


def _sound_appearance(read: Any) -> bool:
    return (
        _has_fields(read, Appearance)
        and isinstance(read["digits"], bool)
        and isinstance(read["inverted"], bool)
        and isinstance(read["white"], int | float | None)
        and (read.get("scale") is None or _sound_scale(read["scale"]))
    )


def _sound_scale(read: Any) -> bool:
    return (
        _has_fields(read, Scale)
        and all(isinstance(read[name], int | float) for name in ("black", "full"))
        and isinstance(read["floats"], bool)
        and read["black"] <= 0 < read["full"]
    )
