"""Options of ``parse``."""

from collections.abc import Sequence
from dataclasses import dataclass

from examples.shared.choice import Split


@dataclass(frozen=True)
class ParseConfig:
    """What to parse, and where to write it.

    Args:
        run: Run directory that train_svi wrote, or pretrained:NAME.
        out: Folder to write to; made if it does not exist.
        index: Numbers of images in the split.
        image: Your own files.
        split: Which of the run's images.
        as_is: Take a file's pixels as they are.
        patches: Write the patches of all nodes into parse.json; without them only the run can draw the tree again.
        overwrite: Replace files that exist.
        data: Where the run's images are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.
    """

    run: str
    out: str
    index: Sequence[int] = ()
    image: Sequence[str] = ()
    split: Split = "test"
    as_is: bool = False
    patches: bool = True
    overwrite: bool = False
    data: str | None = None
    data_dir: str | None = None
