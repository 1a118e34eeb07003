"""Errors of the laptop's AWS; each message tells the user what to do."""


class LaptopAwsError(Exception):
    """The base of these errors."""


class StateDirError(LaptopAwsError):
    """The state folder cannot be used."""


class PortInUseError(LaptopAwsError):
    """Another program listens on the port."""


class NotRunningError(LaptopAwsError):
    """The laptop's AWS did not start or is not running."""


class AlreadyRunningError(LaptopAwsError):
    """The laptop's AWS is already running, but the caller needs a fresh one."""


class DockerNetworkError(LaptopAwsError):
    """The Docker network could not be created or removed."""
