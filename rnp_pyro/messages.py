"""Other people's error messages inside ours, which are one line."""


def one_line(error: BaseException) -> str:
    """Return the message of ``error`` without line breaks, or its type if it has none.

    The shapes that Pyro adds to what is raised inside a trace are left out.
    """
    return " ".join(str(error).split("\n Trace Shapes:")[0].split()) or type(error).__name__
