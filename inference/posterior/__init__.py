"""Posteriors without a guide: NUTS, annealing, and the gaps of a guide beside them."""
