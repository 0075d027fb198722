"""Other people's error messages inside ours, which are one line."""

MOST_LETTERS = 2000
"""Of a message: what came may be a whole file."""


def one_line(error: BaseException) -> str:
    """Return the message of ``error`` without line breaks and not too long, or its type if it has none.

    The shapes that Pyro adds to what is raised inside a trace are left out.
    """
    text = " ".join(str(error).split("\n Trace Shapes:")[0].split()) or type(error).__name__
    return text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 3]}..."
