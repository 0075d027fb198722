"""What the page may ask: JSON read strictly, every field checked by name. What does not fit is one line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NoReturn

import numpy as np

from rnp_pyro.errors import UserError
from rnp_pyro.shapes import UInt8

LARGEST_BODY = 2**21
"""Bytes of a request; two trees of the presets take a tenth of it."""

SMALLEST_PAD, LARGEST_PAD = 4, 256
"""Rows and columns of a drawing."""

HALVES = ("top", "bottom", "left", "right")

MOST_DRAWS = 16

Ink = UInt8[np.ndarray, "rows columns"]
"""A drawing: 0 is paper, 255 is ink."""


@dataclass(frozen=True)
class Asked:
    """One request's fields, each read when it is asked for.

    Args:
        fields: What was sent.
    """

    fields: Mapping[str, Any]

    def check_known(self, question: str, known: Sequence[str]) -> None:
        """Refuse fields that a question does not have: a slip would be answered as if it were not there.

        Raises:
            UserError: There is one.
        """
        for name in self.fields:
            if name not in known:
                raise UserError(
                    f"expected fields of {question}, {', '.join(known)}, got {json.dumps(name)[:60]}: leave it out"
                )

    def ink(self) -> Ink:
        """Read the drawing, rows of whole numbers from 0 to 255."""
        rows = self.fields.get("ink")
        expected = (
            f"a square of {SMALLEST_PAD} to {LARGEST_PAD} rows, each of as many whole numbers from 0 (paper) to 255"
        )
        if not isinstance(rows, list) or not SMALLEST_PAD <= len(rows) <= LARGEST_PAD:
            _fail("ink", expected, rows)
        side = len(rows)
        if not all(isinstance(row, list) and len(row) == side for row in rows):
            _fail("ink", expected, rows)
        if not all(type(number) is int and 0 <= number <= 255 for row in rows for number in row):
            _fail("ink", expected, rows)
        return np.array(rows, np.uint8)

    def tree(self, name: str = "tree") -> Any:
        """Read a tree as JSON; ``rnp_pyro/part_tree/schema.py`` checks what is in it."""
        found = self.fields.get(name)
        if not isinstance(found, dict):
            _fail(name, "a tree, as an answer held it", found)
        return found

    def part(self, name: str = "part") -> list[int]:
        """Read the steps from the root to a part, each from 0."""
        found = self.fields.get(name)
        if not isinstance(found, list) or not found or not all(type(step) is int for step in found):
            _fail(name, "the steps to a part, whole numbers from 0", found)
        return found

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        """Read a finite number within a range."""
        found = self.fields.get(name, default)
        numeric = isinstance(found, int | float) and not isinstance(found, bool)
        if not numeric or not isfinite(found) or not low <= found <= high:
            _fail(name, f"a number within {low:g} to {high:g}", found)
        return float(found)

    def whole(self, name: str, low: int, high: int, default: int) -> int:
        """Read a whole number within a range."""
        found = self.fields.get(name, default)
        if type(found) is not int or not low <= found <= high:
            _fail(name, f"a whole number within {low} to {high}", found)
        return found

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        """Read one of several words."""
        found = self.fields.get(name, default)
        if not isinstance(found, str) or found not in allowed:
            _fail(name, f"one of {', '.join(allowed)}", found)
        return found

    def flag(self, name: str, default: bool) -> bool:
        """Read true or false."""
        found = self.fields.get(name, default)
        if not isinstance(found, bool):
            _fail(name, "true or false", found)
        return found


def read_request(body: bytes) -> Asked:
    """Read a request's body.

    Raises:
        UserError: If it is not a JSON object of finite numbers.
    """
    try:
        read = json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UserError:
        raise
    except RecursionError:
        raise UserError("expected a JSON object, got one of too many levels") from None
    except ValueError:
        raise UserError("expected a JSON object, got something else") from None
    if not isinstance(read, dict):
        _fail("the request", "a JSON object", read)
    return Asked(read)


def _refuse_constant(name: str) -> NoReturn:
    raise UserError(f"expected finite numbers, got {name}")


def _fail(name: str, expected: str, got: Any) -> NoReturn:
    shown = json.dumps(got)
    raise UserError(f"expected {name} to be {expected}, got {shown if len(shown) <= 60 else shown[:57] + '...'}")
