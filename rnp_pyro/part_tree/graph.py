"""A tree as a networkx graph, for users who have networkx."""

from typing import Any

from rnp_pyro.errors import UserError
from rnp_pyro.part_tree.value import TreeValue


def to_networkx(value: TreeValue) -> Any:
    """Turn one tree into a ``networkx.DiGraph`` with an edge from every program to each of its children.

    Nodes are paths of steps from the root, ``()`` for the root and ``(1, 3)`` for the fourth child of its second
    child. Their attributes, as NumPy arrays: ``level``, ``z``, and below the root ``pose``, ``action`` and ``patch``;
    edges have the ``step``.

    Raises:
        UserError: If networkx is not installed, or ``value`` is a batch.
    """
    try:
        import networkx
    except ImportError:
        raise UserError("expected networkx to be installed, found none: pip install 'rnp-pyro[graph]'") from None
    if value.parse.root.dim() != 1:
        raise UserError(f"expected one tree, got a batch of {list(value.parse.root.shape[:-1])}: select one of them")
    graph = networkx.DiGraph()
    graph.add_node((), level=value.num_levels, z=_array(value.parse.root))
    above: list[tuple[int, ...]] = [()]
    for level in range(value.num_levels - 1, value.leaf_level - 1, -1):
        nodes, count = value.at(level), value.num_steps(level + 1)
        paths = [(*parent, step) for parent in above for step in range(count)]
        for place, path in enumerate(paths):
            numbers = {name: _array(getattr(nodes, name)[place]) for name in ("z", "pose", "action", "patch")}
            graph.add_node(path, level=level, **numbers)
            graph.add_edge(path[:-1], path, step=path[-1])
        above = paths
    return graph


def _array(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy()
