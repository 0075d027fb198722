"""The one exception that a command turns into one line and exit status 2."""


class UserError(ValueError):
    """Something a user can mend: the message says what was expected, what came and what to do, in one line."""


class ReportedError(UserError):
    """An error that the first process of a distributed run reports; the others end silently."""
