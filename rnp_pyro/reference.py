"""Algorithm 1, read aloud: the executable specification that the engine is tested and timed against.

Depth first, one program at a time, batched over images only; slow and plain. It takes its weights and hypernetworks
from a :class:`~rnp_pyro.tree.Tree`, shares with the engine the splitting of what they generate, and has its own of all
the rest.

What the printed algorithm lacks:

- Departure (line 9): counted from level k its test ``level > 0`` runs k + 1 levels of programs. Here leaves are level 0
  and only decoded.
- Departure (line 10): it adds the child's canvas without pasting it. We apply g, as eq. (1) does.
- Departure (line 12): it returns nothing at the leaves. We return the decoded patch.
- Departure (line 16): it multiplies noise with exp(logvar), a variance. Drawing z^K is the guide's task here, with
  scale a standard deviation.
- Departure (lines 6 and 7): it has no encoders and no feedback; section 2.1 and fig. 2b have both.
- Departure (lines 6 to 8): its numbers have no bound. Ours are compressed where they are far beyond what is usual.
"""

from typing import Any

import torch
import torch.nn.functional as F

from rnp_pyro.canvas import MOST_INK
from rnp_pyro.heads import NetworkParams, split_params
from rnp_pyro.patch import PatchDecoder
from rnp_pyro.patches.conv import Conv
from rnp_pyro.patches.dense import Dense
from rnp_pyro.patches.primitives import Primitives
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.tree import Tree

Images = Float[Tensor, "B C H W"]


def generate_image(tree: Tree, z: Float[Tensor, "B Z"]) -> Images:
    """Generate one image per latent: the last line of procedure RNP."""
    return rnp_decoder(tree, z, tree.num_levels)


def rnp_decoder(tree: Tree, z: Float[Tensor, "B Z"], level: int) -> Images:
    """Generate the canvases of programs of ``level``: procedure RNPdecoder.

    Args:
        tree: Where the weights and settings are.
        z: One program per image.
        level: 1 to K.
    """
    state_shapes, policy_shapes = tree.hypernets.shapes
    flat_state, flat_policy = tree.hypernets(z, level)
    state = split_params(flat_state, state_shapes)  # line 2
    policy = split_params(flat_policy, policy_shapes)  # line 3

    z_hidden, estimate = state.initial_state, state.initial_output
    policy_hidden, action = policy.initial_state, policy.initial_output
    children = []  # line 4
    for _ in range(tree.num_steps(level)):  # line 5
        seen = torch.cat([estimate, torch.tanh(tree.limits(level).gain * action)], dim=-1)
        z_hidden = within_reach(state_activation(tree, recur(state, seen, z_hidden)), 10, tree.compress)  # line 6
        policy_hidden = within_reach(F.elu(recur(policy, seen, policy_hidden)), 10, tree.compress)  # line 7
        action = within_reach(decode(policy.decoder, policy_hidden), 2, tree.compress)
        patch = decode_patch(tree.patch_decoder, state.decoder, z_hidden)  # line 8
        child = rnp_decoder(tree, z_hidden, level - 1) if level > 1 else patch  # lines 9 to 12
        children.append(g(tree, child, action, level))
        # Feedback, the dotted line of fig. 2b: the child's canvas is the estimate of the last part.
        estimate = tree.feedback[level - 1](child.flatten(-3)) if tree.feedback is not None else z_hidden
    return add_up(tree, children, level)  # line 13


def recur(params: NetworkParams, seen: Float[Tensor, "B input"], hidden: Float[Tensor, "B Z"]) -> Float[Tensor, "B Z"]:
    """Encode and take a step of a vanilla recurrent network, up to its activation."""
    encoded = F.elu(linear(seen, params.encoder_weight) + params.encoder_bias)
    return linear(encoded, params.input_weight) + linear(hidden, params.recurrent_weight) + params.bias


def decode(generated: tuple[Any, ...], hidden: Float[Tensor, "B Z"]) -> Float[Tensor, "B output"]:
    """Decode a hidden state with two layers: ``dec_policy``, and ``dec_state`` where patches are dense."""
    weight, bias, output_weight, output_bias = generated
    return linear(F.elu(linear(hidden, weight) + bias), output_weight) + output_bias


def within_reach(number: Tensor, usual: float, compress: bool) -> Tensor:
    """Compress numbers beyond what is usual to their logarithm."""
    return usual * torch.log(number / usual + torch.sqrt((number / usual) ** 2 + 1)) if compress else number


def decode_patch(decoder: PatchDecoder, generated: tuple[Any, ...], z: Float[Tensor, "B Z"]) -> Images:
    """Decode a child's latent into its own patch, ``dec_state``."""
    match decoder:
        case Dense():
            return patch_activation(decoder, decode(generated, z)).unflatten(-1, decoder.patch_shape)
        case Conv():
            return torch.stack([convolve(decoder, generated, z, index) for index in range(len(z))])
        case Primitives():
            numbers, channels = (
                within_reach(linear(z, generated[0]) + generated[1], 4, decoder.compress),
                decoder.patch_shape[0],
            )
            patch = torch.zeros(len(z), *decoder.patch_shape, dtype=z.dtype, device=z.device)
            shares = torch.softmax(numbers[:, channels:], dim=1)
            for number, primitive in enumerate(decoder.images):
                patch = patch + shares[:, number, None, None, None] * primitive
            return torch.sigmoid(numbers[:, :channels, None, None]) * patch
    raise TypeError(f"the specification knows no patch decoder {type(decoder).__name__}")


def convolve(decoder: Conv, generated: tuple[Any, ...], z: Float[Tensor, "B Z"], index: int) -> Tensor:
    """Decode one image's patch with its own kernels: a dense layer to a small map, then transposed convolutions."""
    (weight, bias, *layers), side = generated, decoder.side
    pixels = F.elu(z[index] @ weight.weight[index] + bias[index])
    maps = pixels.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    for kernel, bias in zip(layers[::2], layers[1::2], strict=True):
        kernels = kernel.weight[index].reshape(maps.shape[1], -1, 4, 4)
        maps = F.conv_transpose2d(maps, kernels, bias[index], stride=2, padding=1)
        if bias is not layers[-1]:
            maps = F.elu(maps)
    _, rows, columns = decoder.patch_shape
    top, left = (maps.shape[2] - rows) // 2, (maps.shape[3] - columns) // 2
    return patch_activation(decoder, maps[0, :, top : top + rows, left : left + columns])


def linear(x: Float[Tensor, "B in"], weight: Any) -> Float[Tensor, "B out"]:
    """Multiply each image's row with its own generated matrix."""
    return torch.einsum("bi,bio->bo", x, weight.weight)


def state_activation(tree: Tree, preactivation: Float[Tensor, "B Z"]) -> Float[Tensor, "B Z"]:
    """Apply the activation of f_state."""
    match tree.state_activation:
        case "identity":
            return preactivation
        case "elu":
            return F.elu(preactivation)
        case "tanh":
            return torch.tanh(preactivation)


def patch_activation(decoder: Dense | Conv, preactivation: Tensor) -> Tensor:
    """Apply the activation of decoded patches."""
    preactivation = within_reach(preactivation, 4, decoder.paint.compress)
    match decoder.paint.activation:
        case "sigmoid":
            return torch.sigmoid(preactivation)
        case "relu6":
            return F.relu6(preactivation)
        case "softplus":
            return F.softplus(preactivation)


def g(tree: Tree, child: Float[Tensor, "B C h w"], action: Float[Tensor, "B 6"], level: int) -> Images:
    """Paste children into canvases of ``level``: map pixel centres back into the child's frame and interpolate."""
    limits = tree.limits(level)
    rows, columns = tree.canvas_size(level)
    grid_y = (2 * torch.arange(rows, dtype=child.dtype, device=child.device) + 1) / rows - 1
    grid_x = (2 * torch.arange(columns, dtype=child.dtype, device=child.device) + 1) / columns - 1
    y, x = torch.meshgrid(grid_y, grid_x, indexing="ij")

    bounded = torch.tanh(limits.gain * action)
    low, high = limits.scale
    scale_x, scale_y = ((low + high) / 2 + (high - low) / 2 * bounded[:, :2]).unbind(-1)
    angle = limits.rotation * bounded[:, 2]
    shear = limits.shear * bounded[:, 3]
    # L = R(angle) Shear(shear) diag(scale), column by column; its inverse over the determinant scale_x scale_y.
    a, c = scale_x * angle.cos(), scale_x * angle.sin()
    b, d = scale_y * (shear * angle.cos() - angle.sin()), scale_y * (shear * angle.sin() + angle.cos())
    shift_x = bounded[:, 4] * (1 - a.abs() - b.abs())
    shift_y = bounded[:, 5] * (1 - c.abs() - d.abs())

    def each(value: Tensor) -> Tensor:
        return value[:, None, None]

    from_x, from_y = x - each(shift_x), y - each(shift_y)
    child_x = (each(d) * from_x - each(b) * from_y) / each(scale_x * scale_y)
    child_y = (each(a) * from_y - each(c) * from_x) / each(scale_x * scale_y)
    places = torch.stack([child_x, child_y], dim=-1)
    return F.grid_sample(child, places, mode=tree.assembly.interpolation, padding_mode="zeros", align_corners=False)


def add_up(tree: Tree, children: list[Images], level: int) -> Images:
    """Compose pasted children: their sum (line 10), or a noisy-or, with a leak at the root."""
    if tree.assembly.composition == "sum":
        return torch.stack(children).sum(0)
    dark = torch.stack([1 - child.clamp(0, MOST_INK) for child in children]).prod(0)
    if level == tree.num_levels:
        assert tree.leak_logit is not None
        dark = dark * (1 - torch.sigmoid(tree.leak_logit))
    return 1 - dark
