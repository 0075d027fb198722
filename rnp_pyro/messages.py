"""Other people's error messages inside ours, which are one line."""


def one_line(error: BaseException) -> str:
    """Return the message of ``error`` without line breaks, or its type if it has none."""
    return " ".join(str(error).split()) or type(error).__name__
