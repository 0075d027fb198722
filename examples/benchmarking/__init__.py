"""Beyond the commands benchmark and cost_model."""
