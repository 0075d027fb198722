"""Beyond the command reference_posterior."""
