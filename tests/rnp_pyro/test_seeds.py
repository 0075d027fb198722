"""Seeds, and the range that every command refuses others from."""

import numpy as np
import pytest

from rnp_pyro.errors import UserError
from rnp_pyro.seeds import check_count, check_seed


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_seeds_in_range(seed: int):
    check_seed("--seed", seed)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_out_of_range(seed: int):
    with pytest.raises(UserError, match=rf"^--seeds must be within \[0, 2\^63\), got {seed}$"):
        check_seed("--seeds", seed)


@pytest.mark.parametrize("count", [1, 7, np.int64(3)])
def test_counts(count):
    check_count("num", count, 1)


@pytest.mark.parametrize("count", [0, -1, 2.5, 2.0, "3", None, True, float("nan")])
def test_what_is_no_count(count):
    with pytest.raises(UserError, match="num must be a whole number of at least 1, got"):
        check_count("num", count, 1)


@pytest.mark.parametrize("seed", [0.5, "3", None])
def test_what_is_no_seed(seed):
    with pytest.raises(UserError, match="must be within"):
        check_seed("seed", seed)
