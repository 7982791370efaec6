"""The machine of kernel 6.18."""

import math

from ..v2_6_7.machine import Machine as Machine267
from .advice import Advice
from .calls import Calls
from .faults import Faults
from .fork import Fork
from .mremap import Mremap
from .reclaim import Reclaim
from .tables import Tables


class Machine(Tables, Advice, Calls, Faults, Fork, Mremap, Reclaim, Machine267):
    """2.6.7 and what changed since (docs/rules/6.18)."""

    most_users = math.inf  # rule J1
