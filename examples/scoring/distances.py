"""Distances between two sets of pictures on features of a classifier."""

import torch

from examples.scoring.classifier import CHUNK, Classifier
from rnp_pyro.shapes import Canvas, Float, Tensor

NEIGHBOURS = 3
"""Within the distance of the third nearest neighbour a picture counts as covered (Kynkaanniemi et al. 2019)."""

SUBSETS = 20
"""Draws of the kernel distance."""


def features_of(network: Classifier, images: Canvas) -> Float[Tensor, "N features"]:
    """Return the features of images in [0, 1], chunk after chunk."""
    with torch.no_grad():
        return torch.cat([network(chunk.clamp(0, 1)) for chunk in images.split(CHUNK)]).double()


def distances(network: Classifier, images: Canvas, samples: Canvas, seed: int) -> dict[str, float]:
    """Compare samples with images.

    Args:
        network: Makes the features.
        images: In [0, 1].
        samples: In [0, 1], about as many.
        seed: Of the kernel distance's subsets.

    Returns:
        ``frechet``, ``kernel`` and ``kernel_sd`` (over subsets), lower is better; ``precision``, the share of samples
        near images, and ``recall``, the share of images near samples.
    """
    real, made = features_of(network, images), features_of(network, samples)
    kernels = kernel_distances(real, made, seed)
    return {
        "frechet": frechet(real, made),
        "kernel": float(kernels.mean()),
        "kernel_sd": float(kernels.std()),
        "precision": covered(real, made),
        "recall": covered(made, real),
    }


def frechet(one: Float[Tensor, "N features"], other: Float[Tensor, "M features"]) -> float:
    """Return the Frechet distance of the normals with the moments of two sets (Heusel et al. 2017), at least 0.

    |m - n|^2 + tr(S + T - 2 (S T)^(1/2)),  whose last trace is that of (S^(1/2) T S^(1/2))^(1/2)
    """
    values, vectors = torch.linalg.eigh(torch.cov(one.mT))
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
    covariance = torch.cov(other.mT)
    shared = torch.linalg.eigvalsh(root @ covariance @ root).clamp(min=0).sqrt().sum()
    means = (one.mean(0) - other.mean(0)).square().sum()
    return float((means + values.sum() + covariance.trace() - 2 * shared).clamp(min=0))


def kernel_distances(
    one: Float[Tensor, "N features"], other: Float[Tensor, "M features"], seed: int
) -> Float[Tensor, " subsets"]:
    """Return unbiased squared maximum mean discrepancies of random subsets (Binkowski et al. 2018).

    The kernel is (x y / features + 1)^3. Unbiased estimates may be below 0.
    """
    size, generator = min(100, len(one), len(other)), torch.Generator().manual_seed(seed)
    found = []
    for _ in range(SUBSETS):
        x, y = (points[torch.randperm(len(points), generator=generator)[:size]] for points in (one, other))
        within = sum((k.sum() - k.trace()) / (size * (size - 1)) for k in (_kernel(x, x), _kernel(y, y)))
        found.append(within - 2 * _kernel(x, y).mean())
    return torch.stack(found)


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.mT / x.shape[-1] + 1) ** 3


def covered(reference: Float[Tensor, "N features"], points: Float[Tensor, "M features"]) -> float:
    """Return the share of points that are as near to one of the reference as its third nearest neighbour there is."""
    count = min(NEIGHBOURS, len(reference) - 1)
    radius = torch.cdist(reference, reference).kthvalue(count + 1, dim=-1).values  # the nearest is itself
    return float((torch.cdist(points, reference) <= radius).any(-1).double().mean())
