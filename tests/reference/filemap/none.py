"""none: nothing leads from a file page to its entries (rule G10)."""

from ..common.scheme import Scheme


class NoFiles(Scheme):
    """Rule G10: proposes nothing; for schemes that sweep."""
