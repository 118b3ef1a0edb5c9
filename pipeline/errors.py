"""The one error that a user can mend."""


class InputError(ValueError):
    """Bad input: the message names the file or key, what is wrong with it, and the remedy."""


def first_line(error: Exception) -> str:
    """Return kind and first line of what a library says, to be a part of one message."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
