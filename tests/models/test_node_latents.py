"""Random nodes: sites, their prior, and a guide and a model that share one walk."""

from collections.abc import Callable
from dataclasses import replace

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO

from inference.bounds import elbo_terms, latent_means
from inference.predictive import sample_prior, unfold_as_drawn
from models import MODELS
from rnp_pyro.config import ModelConfig
from rnp_pyro.errors import UserError
from rnp_pyro.fast.recall import remembering
from rnp_pyro.node_scales import INITIAL_SCALES

MakePair = Callable[..., tuple]

STATES = ["z.1.0", "z.1.1", "z.0.0", "z.0.1"]
ACTIONS = ["action.1.0", "action.1.1", "action.0.0", "action.0.1"]


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize(
    ("node_latents", "sites"),
    [("none", []), ("state", STATES), ("action", ACTIONS), ("both", STATES + ACTIONS)],
)
def test_the_setting_names_the_random_sites(
    make_pair: MakePair, images: torch.Tensor, node_latents: str, sites: list[str]
):
    model, _ = make_pair(node_latents=node_latents)
    trace = poutine.trace(model).get_trace(images)
    assert set(trace.stochastic_nodes) == {"images", "z.2", *sites}
    for name in sites:
        site = trace.nodes[name]
        assert site["fn"].batch_shape == (len(images),)
        kind = name.split(".")[0]
        assert torch.allclose(site["fn"].base_dist.scale, torch.tensor(INITIAL_SCALES[kind]))


def test_nodes_are_drawn_around_what_a_tree_without_randomness_proposes(make_pair: MakePair, images: torch.Tensor):
    """Their means given their ancestors' means are the deterministic tree."""
    model, _ = make_pair(node_latents="both")
    tree, z = model.decoder, torch.randn(4, 6)
    means: dict[str, torch.Tensor] = {}

    def take(name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: object) -> torch.Tensor:
        assert scale is not None
        assert scale.shape == loc.shape[-1:]
        means[name] = loc
        return loc

    drawn, plain = tree.unfold(z, take), tree.unfold(z)
    assert set(means) == {*STATES, *ACTIONS}
    for one, other in zip(drawn.levels, plain.levels, strict=True):
        for name, value in vars(one).items():
            assert torch.allclose(value, getattr(other, name), rtol=1e-10, atol=1e-12)


@pytest.mark.thorough
def test_the_scales_are_learned(make_pair: MakePair, images: torch.Tensor):
    model, guide = make_pair(guide="ladder")
    Trace_ELBO(max_plate_nesting=1)(model, guide)(images).backward()
    scales = dict(model.decoder.node_scales.named_parameters())
    assert set(scales) == {"log_scales.z", "log_scales.action"}
    assert all(scale.grad is not None and (scale.grad != 0).all() for scale in scales.values())


@pytest.mark.thorough
@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("guide", ["resnet", "ladder"])
def test_one_walk_for_guide_and_model_changes_no_gradient(
    make_pair: MakePair, images: torch.Tensor, guide: str, feedback: bool
):
    model, posterior = make_pair(guide=guide, node_latents="both", tree={"feedback": feedback})
    loss = Trace_ELBO(max_plate_nesting=1)(model, posterior)
    found = []
    for shared in (False, True):
        loss.zero_grad()
        pyro.set_rng_seed(1)
        if shared:
            with remembering(model.decoder):
                value = loss(images)
                value.backward()
        else:
            value = loss(images)
            value.backward()
        found.append((value.detach(), [parameter.grad.clone() for parameter in loss.parameters()]))
    assert torch.allclose(found[0][0], found[1][0], rtol=1e-12)
    assert all(torch.allclose(*pair, rtol=1e-8, atol=1e-10) for pair in zip(found[0][1], found[1][1], strict=True))


def test_programs_are_generated_once(make_pair: MakePair, images: torch.Tensor):
    model, guide = make_pair(guide="ladder")
    calls: list[int] = []
    (hypernet,) = model.decoder.hypernets.state_hypernets
    hypernet.trunk.register_forward_hook(lambda module, inputs, output: calls.append(len(inputs[0])))
    elbo_terms(model, guide, images, seed=0)
    num_parts = model.decoder.num_steps(2)
    assert calls == [len(images), num_parts * len(images)]
    assert model.decoder.memory is None


def test_other_latents_are_not_taken_for_known_ones(make_pair: MakePair):
    tree = make_pair(node_latents="both")[0].decoder
    z = torch.randn(3, 6)

    def draw(name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: object) -> torch.Tensor:
        return loc + 0.1

    with remembering(tree):
        tree.unfold(z, draw)
        second = tree.unfold(z + 1, draw)
    assert torch.equal(second.at(0).z, tree.unfold(z + 1, draw).at(0).z)


def test_what_the_guide_expects_unfolds_into_its_parse(make_pair: MakePair, images: torch.Tensor):
    model, guide = make_pair(guide="ladder")
    means = latent_means(guide, images)
    assert set(means) == {"z.2", *STATES, *ACTIONS}
    parse = unfold_as_drawn(model.decoder, means)
    assert torch.equal(parse.at(1).z[:, 1], means["z.1.1"][:, 0])
    assert torch.equal(parse.at(0).action[:, 1::2], means["action.0.1"])


def test_the_prior_draws_nodes_too(make_pair: MakePair):
    model, _ = make_pair(node_latents="state")
    programs = sample_prior(model, (1, 12, 12), 3)
    assert set(programs.latents) == {"z.2", *STATES}
    assert programs.parse is not None
    assert torch.equal(programs.parse.at(1).z[:, 0], programs.latents["z.1.0"][:, 0])


def test_the_flat_baseline_has_no_nodes():
    with pytest.raises(UserError, match=r"expected --model.node_latents none, got both"):
        MODELS["vae"](replace(ModelConfig(name="vae"), node_latents="both"), (1, 28, 28))
