"""Packaged presets."""
