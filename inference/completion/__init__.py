"""Images completed from the part of them that is seen."""
