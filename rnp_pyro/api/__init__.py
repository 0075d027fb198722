"""The library's door, above all layers: build a pair, open a run, measure it. ``rnp_pyro`` resolves it lazily."""
