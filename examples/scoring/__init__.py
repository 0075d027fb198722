"""Beyond the command score_samples."""
