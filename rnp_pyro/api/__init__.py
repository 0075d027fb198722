"""The library's door, above all layers: build a pair, open a run, measure it. ``rnp_pyro`` resolves it lazily."""

from rnp_pyro.api.places import drop_unknown_backend

drop_unknown_backend()
