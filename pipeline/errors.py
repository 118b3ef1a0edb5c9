"""The one error that a user can mend."""


class InputError(ValueError):
    """Bad input: the message names the file or key, what is wrong with it, and the remedy."""


def unlisted(name: str, key: str) -> InputError:
    """Return the error of a stage that is run for a name that is not on a list."""
    return InputError(
        f"{name} is not on the list `{key}` of params.yaml; put it there, or run "
        f"`dvc exp run -S '{key}=[{name}]'`"
    )


def first_line(error: Exception) -> str:
    """Return kind and first line of what a library says, to be a part of one message."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
