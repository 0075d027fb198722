"""What codes know: classes told by a linear probe and by nearest neighbours, and how far levels are apart."""

import warnings
from typing import Any

import numpy as np

NEIGHBOURS = 5


def told(known: Any, labels: Any, asked: Any, expected: Any) -> dict[str, float]:
    """Return how often a linear probe and the nearest neighbours tell a label, with what guessing would.

    Args:
        known: Codes to learn from, ``[N Z]``.
        labels: Theirs.
        asked: Codes to tell the label of.
        expected: Theirs.

    Returns:
        ``probe``, ``neighbours`` and ``chance`` (the commonest label), shares; ``standard_error`` of the probe's.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, labels, asked, expected = (np.asarray(one) for one in (known, labels, asked, expected))
    commonest = np.bincount(labels).argmax()
    found = {"chance": float((expected == commonest).mean())}
    if len(np.unique(labels)) < 2:
        return {"probe": found["chance"], "neighbours": found["chance"], **found, "standard_error": 0.0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a probe that has not converged is as good as it is
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300)).fit(known, labels)
        nearest = KNeighborsClassifier(min(NEIGHBOURS, len(known))).fit(known, labels)
        for name, one in (("probe", probe), ("neighbours", nearest)):
            found[name] = float((one.predict(asked) == expected).mean())
    share = found["probe"]
    return {**found, "standard_error": float(np.sqrt(share * (1 - share) / len(expected)))}


def apart(one: Any, other: Any) -> float:
    """Return the silhouette of two groups of codes: near 1 they are apart, near 0 they mix."""
    from sklearn.metrics import silhouette_score

    groups = np.repeat([0, 1], [len(one), len(other)])
    return float(silhouette_score(np.concatenate([one, other]), groups))


def flat_map(codes: Any, seed: int) -> Any:
    """Return t-SNE's map of codes, ``[N 2]``."""
    from sklearn.manifold import TSNE

    points = np.asarray(codes, dtype=np.float64)
    perplexity = min(30.0, max(2.0, (len(points) - 1) / 4))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TSNE(init="pca", perplexity=perplexity, random_state=seed).fit_transform(points)
