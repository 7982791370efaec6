"""The machine of kernel 2.6.7."""

from ..common.machine import Machine as Common
from .advice import Advice
from .calls import Calls
from .faults import Faults
from .fork import Fork
from .mremap import Mremap
from .reclaim import Reclaim
from .tables import Tables


class Machine(Advice, Calls, Faults, Fork, Mremap, Reclaim, Tables, Common):
    """docs/rules/2.6.7."""
