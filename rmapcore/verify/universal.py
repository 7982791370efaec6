"""What depends on the scheme, and so cannot be compared under every one. All else must be the same.

- Where areas end. Schemes differ in what they let merge, so areas side by side that show the same count as one.
- Pages that a fault brings back: the zero page, and pages of a file in a private area. Fork copies the entries of an area
  only if it may hold anonymous pages, and then all of them; an area that took in its neighbour is such a one as a whole.
  Whether such a page is there after a fork thus depends on where areas end; what is read there does not. Mapcounts of such
  pages of files go with it.
- Once a scheme has copied shared pages that mremap moved, cannot take one page out of the page tables, or takes a page from
  one process that another has locked: mapcounts, whether pages share a frame, whether a page is in memory or in swap, and
  sums of these. No two pages may be in one frame that are in two elsewhere even then.
- Who loses a page that only some of its users gave up: those whom a walk finds before one who wrote it. Contents differ from
  then on, so nothing is compared.
"""

LAZY = "presence of pages that faults bring back"
WHY_LAZY = "areas end elsewhere, and fork copies the entries of an area or none"
FILE_KINDS = frozenset({"file", "shmem"})
AWAY = frozenset({"anon", "swapped"})


def lazy(one, other, private):
    """Whether two kinds of page ("none" for no page) differ only in that a fault has yet to bring it back.

    private: whether the page is in a private area.
    """
    there = one if other == "none" else other
    return "none" in (one, other) and (there == "zero" or (private and there in FILE_KINDS))


def apart(one, other):
    """The same for a scheme that keeps pages apart or in memory which another shares or swaps out."""
    if {one, other} == AWAY:
        return True
    return "none" in (one, other) and (one in FILE_KINDS or other in FILE_KINDS)
