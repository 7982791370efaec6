"""What a workload says of itself: its parameters and how it is built."""
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Parameter:
    """kind: int, float, or a tuple of the words allowed.  low, high: smallest and largest value of a number."""

    default: object
    kind: object
    text: str
    low: float = 0
    high: float = float("inf")

    @property
    def type_name(self):
        """How the type is called in lists: "int", "float" or the words."""
        return "|".join(self.kind) if isinstance(self.kind, tuple) else self.kind.__name__

    def parse(self, name, value):
        """The value of parameter `name` from what a user wrote; ValueError says what it should be."""
        if isinstance(self.kind, tuple):
            if value in self.kind:
                return value
            raise ValueError(f"{name}: {value!r} is not one of {', '.join(self.kind)}")
        wanted = "a whole number" if self.kind is int else "a number"
        try:
            if isinstance(value, bool) or (self.kind is int and not isinstance(value, str) and value != int(value)):
                raise ValueError
            value = self.kind(value)
        except (ValueError, TypeError, OverflowError):
            raise ValueError(f"{name}: {value!r} is not {wanted}") from None
        if not self.low <= value <= self.high:
            bounds = f"from {self.low:,} to {self.high:,}" if self.high < float("inf") else f"of at least {self.low:,}"
            raise ValueError(f"{name}: {value:,} is not {wanted} {bounds}")
        return value


@dataclass(frozen=True)
class Workload:
    """build: function of (parameters, seed, archs), which returns a Program that every one of `archs` can run; ValueError
    says what cannot be. A Program whose `pages` is 0 is measured by a dry run.  about: one line.  parameters: name ->
    Parameter.
    """

    build: Callable
    about: str
    parameters: dict


def describe(parameters):
    """What a list of workloads says of parameters: name -> {"default", "type", "text"}."""
    return {name: {"default": parameter.default, "type": parameter.type_name, "text": parameter.text}
            for name, parameter in parameters.items()}
