"""hunt: programs on which a scheme loses a mapping or reports one twice, found from nothing.

    search ──> look     random programs (verify/programs) on the scheme: judge, after every step
           └──> reduce   shrink; finding: what is left, as calls, Python, a case and C
    workers    processes that do it;  result: what came of it
"""
from rmapcore.studies.hunt.cost import FACTOR
from rmapcore.studies.hunt.result import Hunt
from rmapcore.studies.hunt.run import hunt
from rmapcore.studies.hunt.workers import processors

__all__ = ["FACTOR", "Hunt", "hunt", "processors"]
