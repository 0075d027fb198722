"""Seeds, and the range that every command refuses others from."""

import pytest

from rnp_pyro.errors import UserError
from rnp_pyro.seeds import check_seed


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_seeds_in_range(seed: int):
    check_seed("--seed", seed)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_out_of_range(seed: int):
    with pytest.raises(UserError, match=rf"^--seeds must be within \[0, 2\^63\), got {seed}$"):
        check_seed("--seeds", seed)
