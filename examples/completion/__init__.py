"""Beyond the command compare_completions."""
