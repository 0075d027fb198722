"""Beyond the command evaluate."""
