"""Training and estimation."""
