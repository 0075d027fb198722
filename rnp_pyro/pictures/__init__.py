"""A user's picture becomes what a model has seen."""
