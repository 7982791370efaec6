"""The machine of kernel 2.6.7."""

from ..common.machine import Machine as Common
from .calls import Calls
from .faults import Faults


class Machine(Calls, Faults, Common):
    """docs/rules.md."""
