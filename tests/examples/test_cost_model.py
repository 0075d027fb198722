"""The table of a step's cost: its counts are derived, its times are only there."""

import pytest
import torch

from examples.benchmarking.config import CostConfig
from examples.benchmarking.cost_model import count_flop, main
from rnp_pyro.config import ModelConfig
from rnp_pyro.errors import UserError
from rnp_pyro.program import decoder_heads, network_shapes

ROUNDS = 3


@pytest.fixture
def table() -> dict[str, list[str]]:
    """Rows by stage, as printed for one image per step."""
    torch.set_default_dtype(torch.float32)
    rows = [line.strip("| ").split(" | ") for line in main(CostConfig(batch_size=1, rounds=ROUNDS))[3:]]
    return {name: cells for name, *cells in rows}


@pytest.mark.thorough
def test_the_heads_cost_what_their_sizes_say(table):
    config = ModelConfig()
    heads = decoder_heads(config.latent_size, config.tree.hidden_size, config.tree.patch_size**2)
    shapes = network_shapes(config.latent_size, config.tree.hidden_size, heads)
    generated, programs = sum(shape.num_parameters for shape in shapes), 1 + 4
    flop = 3 * 2 * config.tree.hypernet_size * generated * programs
    assert float(table["hypernetworks' heads"][0]) == pytest.approx(flop / 1e6, abs=0.01)


@pytest.mark.thorough
def test_the_whole_is_the_sum_of_its_stages(table):
    whole = table.pop("whole step")
    stages = [cells for cells in table.values() if len(cells) > 3 and cells[0].strip()]
    assert len(stages) == 7
    for column, digits in ((0, 0.05), (1, 4), (2, 0.4)):
        total = sum(float(cells[column]) for cells in stages)
        assert total == pytest.approx(float(whole[column]), abs=digits)
    assert all(float(cells[3]) > 0 for cells in [*stages, whole])


def test_products_that_add_to_their_result_count():
    left, right, total = torch.ones(3, 4), torch.ones(4, 5), torch.zeros(3, 5)
    with count_flop() as counter:
        total.addmm_(left, right)
        torch.addmm(total, left, right, out=torch.empty(3, 5))
    assert counter.get_total_flops() == 2 * (2 * 3 * 4 * 5)


@pytest.mark.parametrize("config", [CostConfig(batch_size=0), CostConfig(rounds=2)])
def test_numbers_that_are_too_small_are_refused(config):
    with pytest.raises(UserError, match=r"--batch_size must be at least 1 and --rounds at least 3"):
        main(config)
