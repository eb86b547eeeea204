"""A secret that cannot be printed by accident."""

from __future__ import annotations


class Secret:
    """Holds a token, password or key; only `reveal` gives it away, where a header or a query is made."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Hold `value`."""
        self._value = value

    def reveal(self) -> str:
        """Give the secret itself."""
        return self._value

    def __repr__(self) -> str:
        """Show that there is something, and nothing of it."""
        return "Secret(…)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        """Compare by value, so that a rotated secret is told from the old one."""
        return isinstance(other, Secret) and other._value == self._value

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> str:
        """Refuse to be pickled or copied to disk."""
        raise TypeError("a secret is not serialised")
