"""Errors that a person can read: what is wrong, where, and what to do."""


class TollgateError(Exception):
    """Base of all errors that are shown as they are."""

    status = 400

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class BadInput(TollgateError):
    """The input cannot be used as it is; nothing was changed."""


class NotAllowed(TollgateError):
    """The actor sees the object but may not do this to it."""

    status = 403


class NotFound(TollgateError):
    """The object does not exist, or not for this actor: the two answer alike."""

    status = 404


class Conflict(TollgateError):
    """Somebody or something else was quicker; read again, then decide."""

    status = 409
