"""Patch decoders: each against its definition, and what is asked of all of them."""

from collections.abc import Callable
from dataclasses import replace
from math import log, prod, sinh
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from rnp_pyro.activations import Paint
from rnp_pyro.build import build_tree, weights_to_come
from rnp_pyro.config import Config, ModelConfig, TreeConfig
from rnp_pyro.draw import mean
from rnp_pyro.errors import UserError
from rnp_pyro.heads import Matrix
from rnp_pyro.patch import PatchDecoder
from rnp_pyro.patches import PATCH_DECODERS
from rnp_pyro.patches.conv import Conv
from rnp_pyro.patches.dense import Dense
from rnp_pyro.patches.primitives import DRAWN, Primitives, draw, load
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]
MakeConfig = Callable[..., TreeConfig]


def generated(decoder: PatchDecoder, *batch: int) -> tuple[Any, ...]:
    """Random tensors, as a hypernetwork would hand them over."""
    shapes = [shape for head in decoder.heads for shape in head.shapes]
    tensors = [torch.randn(*batch, *shape).requires_grad_() for shape in shapes]
    return tuple(Matrix(one) if len(shape) == 2 else one for one, shape in zip(tensors, shapes, strict=True))


def at(tensors: tuple[Any, ...], *index: int) -> tuple[Any, ...]:
    return tuple(Matrix(one.weight[index]) if isinstance(one, Matrix) else one[index] for one in tensors)


def leaves(tensors: tuple[Any, ...]) -> list[torch.Tensor]:
    return [one.weight if isinstance(one, Matrix) else one for one in tensors]


@pytest.fixture(params=PATCH_DECODERS)
def decoder(request: pytest.FixtureRequest, tiny_config: MakeConfig) -> PatchDecoder:
    config = tiny_config(patch_decoder=request.param, patch_size=6, primitives=("line", "ring"))
    return PATCH_DECODERS[request.param](config, 4, 3)


# -- asked of all


def test_steps_and_programs_are_independent(decoder: PatchDecoder):
    assert isinstance(decoder, PatchDecoder)
    tensors, z = generated(decoder, 2, 5), torch.randn(2, 5, 3, 4)
    patches = decoder(tensors, z)
    assert patches.shape == (2, 5, 3, *decoder.patch_shape) == (2, 5, 3, 3, 6, 6)
    assert 0 <= patches.min() < patches.max() <= 1
    for program in ((0, 0), (1, 3)):
        for step in range(3):
            alone = decoder(at(tensors, *program), z[program][step : step + 1])
            torch.testing.assert_close(alone[0], patches[program][step])


def test_all_that_is_generated_has_a_gradient(decoder: PatchDecoder):
    tensors, z = generated(decoder, 5), torch.randn(5, 3, 4, requires_grad=True)
    weights = torch.randn(5, 3, *decoder.patch_shape)
    for gradient in torch.autograd.grad((decoder(tensors, z) * weights).sum(), [z, *leaves(tensors)]):
        assert (gradient != 0).float().mean() > 0.5


def test_it_learns_nothing_of_its_own(decoder: PatchDecoder):
    """Else the fast path would not train it; the tree refuses one that does."""
    assert not isinstance(decoder, torch.nn.Module) or not list(decoder.parameters())


def test_a_decoder_with_parameters_is_refused(make_tree: MakeTree, tiny_config: MakeConfig):
    class Learned(Primitives):
        def __init__(self) -> None:
            super().__init__(torch.rand(1, 1, 5, 5), 6)
            self.scale = torch.nn.Parameter(torch.ones(()))

    tree = make_tree()
    with pytest.raises(ValueError, match="parameters are all generated"):
        Tree(tree.hypernets, tree.assembly, tree.pose_limits, Learned())


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("name", PATCH_DECODERS)
def test_the_fast_path_gives_the_loops_gradients(make_tree: MakeTree, name: str, recompute: bool):
    settings = {"patch_decoder": name, "primitives": ("line", "ring"), "chunk": 2, "recompute": recompute}
    tree = make_tree(image_shape=(3, 12, 12), **settings)
    z, found = torch.randn(3, 6, requires_grad=True), []
    for way in (None, mean):
        images = tree.fold(tree.unfold(z, way))
        found.append([images, *torch.autograd.grad(images.square().sum(), [z, *tree.parameters()])])
    for one, other in zip(*found, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.thorough
@pytest.mark.parametrize("name", PATCH_DECODERS)
@pytest.mark.parametrize("ink", [None, 0.01, 0.1, 0.3])
def test_patches_start_as_bright_as_the_images(tiny_config: MakeConfig, name: str, ink: float | None):
    """On average over programs and pixels, within what the spread of the start makes of it."""
    config = tiny_config(patch_decoder=name, primitives=("ring",), patch_size=8, hidden_size=32, ink=ink)
    patches = [build_tree(config, 16, (1, 12, 12)).unfold(torch.randn(50, 16)).at(0).patch.mean() for _ in range(10)]
    expected = 0.1 if ink is None else ink
    assert 0.7 * expected < torch.stack(patches).mean() < 1.7 * expected


@pytest.mark.parametrize("name", ["dense", "conv"])
def test_patches_without_a_sigmoid_start_where_they_did(tiny_config: MakeConfig, name: str):
    config = tiny_config(patch_decoder=name, patch_activation="softplus", composition="sum", ink=0.01)
    assert all(head.start == 0 for head in build_tree(config, 6, (1, 12, 12)).patch_decoder.heads)


@pytest.mark.parametrize(("ink", "leak"), [(None, 0.01), (0.5, 0.01), (0.05, 0.005), (0.0, 1e-4)])
def test_the_leak_starts_fainter_than_the_images(tiny_config: MakeConfig, ink: float | None, leak: float):
    tree = build_tree(tiny_config(ink=ink), 6, (1, 12, 12))
    assert tree.assembly.leak is not None
    assert tree.assembly.leak.item() == pytest.approx(leak)


@pytest.mark.parametrize("ink", [-0.1, 1.1, float("nan")])
def test_ink_that_is_no_brightness_is_refused(tiny_config: MakeConfig, ink: float):
    with pytest.raises(UserError, match="ink must be within 0 to 1"):
        build_tree(tiny_config(ink=ink), 6, (1, 12, 12))


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", PATCH_DECODERS)
@pytest.mark.parametrize("way", [None, mean], ids=["fast", "loop"])
def test_programs_that_ran_away_stay_finite_and_so_do_their_gradients(make_tree: MakeTree, name: str, way: Any):
    tree = make_tree(patch_decoder=name, num_steps=(4, 4)).float()
    with torch.no_grad():
        for hypernet in (*tree.hypernets.state_hypernets, *tree.hypernets.policy_hypernets):
            hypernet.heads.bias.mul_(1000)
            hypernet.heads.weight.mul_(1000)
    z = torch.randn(5, 6, dtype=torch.float32, requires_grad=True)
    parse = tree.unfold(z, way)
    images = tree.fold(parse)
    assert images.isfinite().all()
    assert parse.at(0).z.abs().max() < 1000
    gradients = torch.autograd.grad(images.sum() + parse.at(0).z.square().mean(), [z, *tree.parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_an_unknown_decoder_is_refused(tiny_config: MakeConfig):
    with pytest.raises(UserError, match=f"patch_decoder must be one of {', '.join(PATCH_DECODERS)}, got deconv"):
        build_tree(tiny_config(patch_decoder="deconv"), 6, (1, 12, 12))


# -- dense


def test_dense_is_two_layers():
    decoder = Dense((2, 3, 3), latent_size=4, hidden_size=5, paint=Paint(compress=False))
    tensors, z = generated(decoder, 7), torch.randn(7, 1, 4)
    weight, bias, output_weight, output_bias = leaves(tensors)
    for program in range(7):
        hidden = F.elu(z[program] @ weight[program] + bias[program])
        expected = torch.sigmoid(hidden @ output_weight[program] + output_bias[program])
        torch.testing.assert_close(decoder(tensors, z)[program], expected.view(1, 2, 3, 3))


# -- conv


@pytest.mark.parametrize(
    ("size", "side", "doublings"),
    [(1, 1, 1), (5, 3, 1), (6, 3, 1), (7, 2, 2), (8, 2, 2), (12, 3, 2), (28, 2, 4), (50, 2, 5)],
)
def test_a_map_doubles_up_to_the_patch(size: int, side: int, doublings: int):
    decoder = Conv((3, size, size), latent_size=4, paint=Paint())
    assert (decoder.side, decoder.num_doublings) == (side, doublings)
    assert size <= side * 2**doublings
    assert decoder(generated(decoder, 2), torch.randn(2, 3, 4)).shape == (2, 3, 3, size, size)


def test_generated_kernels_are_transposed_convolutions():
    decoder = Conv((3, 7, 7), latent_size=4, paint=Paint(compress=False))
    tensors, z = generated(decoder, 5), torch.randn(5, 2, 4)
    patches = decoder(tensors, z)
    for program in range(5):
        weight, bias, *layers = [tensor[program] for tensor in leaves(tensors)]
        maps = F.elu(z[program] @ weight + bias).view(2, 2, 2, 16).permute(0, 3, 1, 2)
        maps = F.elu(F.conv_transpose2d(maps, layers[0].view(16, 8, 4, 4), layers[1], stride=2, padding=1))
        maps = F.conv_transpose2d(maps, layers[2].view(8, 3, 4, 4), layers[3], stride=2, padding=1)
        torch.testing.assert_close(patches[program], torch.sigmoid(maps)[..., :7, :7])


def test_conv_needs_fewer_numbers_for_colour():
    """The file's example."""
    numbers = [
        sum(prod(shape) for head in decoder.heads for shape in head.shapes)
        for decoder in (Conv((3, 12, 12), 32, Paint()), Dense((3, 12, 12), 32, 64, Paint()))
    ]
    assert numbers == [7_195, 30_192]


def test_a_layer_starts_at_the_variance_of_an_ordinary_one():
    """Four of a kernel's sixteen places meet in a pixel, of each channel."""
    first, second, last = Conv((3, 12, 12), 32, Paint()).heads
    assert (first.fan_in, second.fan_in, last.fan_in) == (32, 4 * 16, 4 * 8)
    assert (first.start, second.start, last.start) == (0, 0, pytest.approx(4 * sinh(log(0.1 / 0.9) / 4)))


# -- primitives


def primitives(images: torch.Tensor) -> Primitives:
    return Primitives(images, latent_size=4, compress=False)


def test_primitives_are_weighed():
    images = torch.rand(3, 2, 5, 5)
    decoder = primitives(images)
    tensors, z = generated(decoder, 6), torch.randn(6, 2, 4)
    weight, bias = leaves(tensors)
    for program in range(6):
        numbers = z[program] @ weight[program] + bias[program]
        shares = numbers[:, 2:].exp() / numbers[:, 2:].exp().sum(-1, keepdim=True)
        mixed = sum(shares[:, index, None, None, None] * images[index] for index in range(3))
        expected = torch.sigmoid(numbers[:, :2, None, None]) * mixed
        torch.testing.assert_close(decoder(tensors, z)[program], expected)


def test_one_primitive_is_drawn_with_more_or_less_ink():
    """A 1 needs fewer strokes than an 8: a leaf can stay dark."""
    decoder = primitives(draw(DRAWN["line"], 8)[None])
    tensors, z = generated(decoder, 500), 3 * torch.randn(500, 1, 4)
    ink = decoder(tensors, z).amax((-3, -2, -1))
    assert ink.min() < 0.05
    assert ink.max() > 0.9
    shape = decoder(tensors, z) / ink[..., None, None, None]
    torch.testing.assert_close(shape, shape[:1].expand_as(shape))


@pytest.mark.parametrize("size", [1, 2, 5, 8, 28])
@pytest.mark.parametrize("name", DRAWN)
def test_drawn_primitives_are_ink_on_dark(name: str, size: int):
    image = draw(DRAWN[name], size)
    assert image.shape == (1, size, size)
    assert image.min() >= 0
    assert image.max() <= 1
    if size >= 8:
        assert image.max() > 0.9
        assert image[0, 0, 0] == 0
        assert 0.05 < image.mean() < 0.6


def test_an_arc_is_no_line_and_bends_to_the_right():
    arc = draw(DRAWN["arc"], 16)[0]
    assert not torch.equal(arc, arc.flip(-1))
    torch.testing.assert_close(arc, arc.flip(-2))
    columns = torch.arange(16.0)
    middle, end = (row @ columns / row.sum() for row in (arc[8], arc[3]))
    assert middle > end + 1


def picture(path: Path, colour: tuple[int, int, int] = (255, 255, 255)) -> Path:
    """A bright bar on black, upright, left of the middle."""
    image = Image.new("RGB", (20, 20))
    image.paste(colour, (4, 2, 10, 18))
    image.save(path)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_a_file_is_a_primitive(tmp_path: Path, channels: int):
    image = load(str(picture(tmp_path / "bar.png")), 10, channels)
    assert image.shape == (channels, 10, 10)
    assert image[:, 5, 3].min() > 0.95
    assert image[:, 5, 8].max() < 0.05


def test_a_coloured_file_is_grey_among_grey_images(tmp_path: Path):
    path = str(picture(tmp_path / "bar.png", (200, 100, 0)))
    torch.testing.assert_close(load(path, 10, 3)[:, 5, 3], torch.tensor([200.0, 100.0, 0.0]) / 255)
    torch.testing.assert_close(
        load(path, 10, 1)[:, 5, 3], torch.tensor([0.299 * 200 + 0.587 * 100]) / 255, atol=2e-3, rtol=0
    )


@pytest.mark.thorough
def test_a_run_is_whole_without_the_file(tmp_path: Path, tiny_config: MakeConfig):
    path = picture(tmp_path / "bar.png")
    config = tiny_config(patch_decoder="primitives", primitives=(str(path), "dot"))
    tree, z = build_tree(config, 6, (1, 12, 12)), torch.randn(2, 6)
    path.unlink()
    with pytest.raises(UserError, match=r"bar\.png"):
        build_tree(config, 6, (1, 12, 12))
    again = build_tree(weights_to_come(Config(model=ModelConfig(tree=config))).model.tree, 6, (1, 12, 12))
    again.load_state_dict(tree.state_dict())
    assert torch.equal(again.fold(again.unfold(z)), tree.fold(tree.unfold(z)))


def test_settings_of_other_decoders_need_no_file(tiny_config: MakeConfig):
    config = tiny_config(primitives=("nowhere.png",))
    assert isinstance(build_tree(config, 6, (1, 12, 12)).patch_decoder, Dense)
    run = Config(model=ModelConfig(tree=config))
    assert weights_to_come(run).model.tree == replace(config, primitives=("blank",))


@pytest.mark.parametrize(
    "write", [lambda path: path.write_bytes(b"no image"), lambda path: path.write_bytes(b""), lambda path: path.mkdir()]
)
def test_a_file_that_is_no_image_is_named(tmp_path: Path, tiny_config: MakeConfig, write: Callable[[Path], Any]):
    write(path := tmp_path / "bar.png")
    with pytest.raises(UserError, match=r"bar\.png"):
        build_tree(tiny_config(patch_decoder="primitives", primitives=(str(path),)), 6, (1, 12, 12))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ((), "primitives must name at least 1 image: line, arc, dot, ring"),
        (("lines",), "primitives: expected line, arc, dot, ring, or a PNG or JPEG file that exists, got 'lines'"),
        ("", "primitives must name at least 1 image"),
    ],
)
def test_primitives_that_are_none_are_refused(tiny_config: MakeConfig, wrong: Any, message: str):
    with pytest.raises(UserError, match=message):
        build_tree(tiny_config(patch_decoder="primitives", primitives=wrong), 6, (1, 12, 12))


def test_a_black_file_is_refused(tmp_path: Path, tiny_config: MakeConfig):
    path = picture(tmp_path / "bar.png", (0, 0, 0))
    with pytest.raises(UserError, match="all black"):
        build_tree(tiny_config(patch_decoder="primitives", primitives=(str(path),)), 6, (1, 12, 12))


def test_one_primitive_may_stand_without_a_list(make_tree: MakeTree):
    tree = make_tree(patch_decoder="primitives", primitives="arc")
    assert isinstance(tree.patch_decoder, Primitives)
    assert torch.equal(tree.patch_decoder.images[0], draw(DRAWN["arc"], 5))
