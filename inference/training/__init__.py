"""Training within a budget."""
