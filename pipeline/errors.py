"""The one error that a user can mend."""


class InputError(ValueError):
    """Bad input: the message names the file or key, what is wrong with it, and the remedy."""
