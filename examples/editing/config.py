"""Options of ``edit``, and what it refuses before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from examples.shared.choice import Split
from rnp_pyro.errors import UserError

MOST_STEPS = 64
OPTIONS = {
    "replace": ("part", "with_part"),
    "swap": ("part", "with_part", "with_pose"),
    "repose": ("part", "shift", "turn", "scale"),
    "interpolate": ("part", "steps", "of"),
    "truncate": ("level",),
}
"""Which options belong to which operation."""


@dataclass(frozen=True)
class EditConfig:
    """What to change, and how.

    Args:
        run: Run directory that train_svi wrote, or pretrained:NAME.
        operation: replace, swap, repose, interpolate or truncate.
        out: Folder to write to; made if it does not exist.
        index: Numbers of images in the split.
        image: Your own files.
        split: Which of the run's images.
        as_is: Take a file's pixels as they are.
        tree: Trees that parse or edit wrote (JSON), after the images.
        part: Which part, such as 2, or 2.3 for the third part of the second; interpolate: default, the whole image.
        with_part: replace and swap: the other part, on the same level; default: at the same place.
        with_pose: swap: parts take their poses along; else each takes the place of the other.
        shift: repose: to the right and down, in pixels of the parent's canvas, such as '[3,-2]'.
        turn: repose: degrees, clockwise.
        scale: repose: factor of the part's size, above 0.
        steps: interpolate: images from one end to the other, at least 2.
        of: interpolate: all, every node's program and pose, so that the ends are the two trees; or root, the root's
            program alone, from which all others are unfolded anew. With --part only that part's program counts.
        level: truncate: level of the nodes that become leaves; 1 cuts the sub-parts off.
        overwrite: Replace files that exist.
        data: Where the run's images are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.
    """

    run: str
    operation: str | None
    out: str
    index: Sequence[int] = ()
    image: Sequence[str] = ()
    split: Split = "test"
    as_is: bool = False
    tree: Sequence[str] = ()
    part: str | None = None
    with_part: str | None = None
    with_pose: bool = False
    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    scale: float = 1.0
    steps: int = 9
    of: Literal["all", "root"] = "all"
    level: int = 1
    overwrite: bool = False
    data: str | None = None
    data_dir: str | None = None


def check(config: EditConfig) -> str:
    """Refuse what can be refused before anything is computed; return the operation.

    Raises:
        UserError: In one line, with what was expected and what came.
    """
    operation = config.operation
    if operation is None or operation not in OPTIONS:
        raise UserError(f"expected OPERATION after RUN, one of {', '.join(OPTIONS)}, got {operation or 'none'}")
    defaults = {field.name: field.default for field in fields(EditConfig)}
    for name in sorted({name for names in OPTIONS.values() for name in names} - set(OPTIONS[operation])):
        if getattr(config, name) != defaults[name]:
            owners = [other for other, names in OPTIONS.items() if name in names]
            raise UserError(f"--{name} is for {' and '.join(owners)}, not for {operation}: leave it out")
    if operation in ("replace", "swap", "repose") and config.part is None:
        raise UserError(f"{operation} needs --part: 2 is the second part, 2.3 the third part of the second")
    for part in (config.part, config.with_part):
        if part is not None:
            read_part(part)
    if not 2 <= config.steps <= MOST_STEPS:
        raise UserError(f"--steps must be within 2 to {MOST_STEPS}, got {config.steps}")
    if not 0.01 <= config.scale <= 100:
        raise UserError(f"--scale must be within 0.01 to 100, got {config.scale:g}")
    numbers = {"turn": config.turn, "shift": max(map(abs, config.shift))}
    for name, number in numbers.items():
        if not abs(number) < 1e4:
            raise UserError(f"--{name} must be finite and below 10000, got {getattr(config, name)}")
    if operation == "repose" and (config.shift, config.turn, config.scale) == ((0.0, 0.0), 0.0, 1.0):
        raise UserError("repose needs --shift '[RIGHT,DOWN]', --turn DEGREES or --scale FACTOR")
    alone = len(config.index) + len(config.image) + len(config.tree) == 1
    if operation == "replace" and alone and config.with_part in (None, config.part):
        raise UserError("replace with one image needs --with_part, another part of it; or name a second image")
    return operation


def read_part(text: str | None) -> tuple[int, ...]:
    """Read 2.3 as the steps (1, 2).

    Raises:
        UserError: If it is no part.
    """
    numbers = [] if text is None else text.split(".")
    if not numbers or not all(number.isascii() and number.isdigit() and 0 < int(number) < 10**6 for number in numbers):
        raise UserError(f"expected a part such as 2, or 2.3 for the third part of the second, got {text}")
    return tuple(int(number) - 1 for number in numbers)
