"""Models and guides that fit each other."""

from guides import GUIDES
from models import MODELS

PAIRS = [(name, guide) for name in MODELS for guide in GUIDES if (name, guide) != ("vae", "ladder")]
"""Names; the ladder needs nodes to infer."""
