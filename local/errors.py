"""The errors of the laptop's AWS itself: each is one sentence for the person who runs it."""


class StateDirError(Exception):
    """The folder for state cannot be used; the message says what to do."""


class PortInUseError(Exception):
    """Something else listens on the port; the message says what to do."""


class NotRunningError(Exception):
    """The laptop's AWS did not start or is not running; the message says where to look."""


class AlreadyRunningError(Exception):
    """A laptop's AWS runs already where a fresh one is wanted; the message says what to do."""
