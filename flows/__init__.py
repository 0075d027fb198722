"""Normalizing flows that models and guides share: neither may import the other, and the core knows no Pyro."""
