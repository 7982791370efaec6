"""Closed forms: what the published rows come to for any parameters. Plain arithmetic, nothing measured.

Counts are ints, means are Fractions, so that "exact" can mean exact.
"""
from fractions import Fraction

from rmapcore.units import PAGE

LIST_NODE = 8                          # bytes of a node before September 2002: next, ptep (i386)


def node_entries(line, entry, pointer=4):
    """NRPTE: entries of `entry` bytes in a node of one cache line, beside its link."""
    return (line - pointer) // entry


def chain_nodes(mappers, per_node):
    """Nodes of a page's chain: none for one mapper, which the page itself holds."""
    return 0 if mappers <= 1 else -(-mappers // per_node)


def chain_bytes(mappers, line, entry):
    """Bytes of a page's chain on a 32-bit kernel."""
    return chain_nodes(mappers, node_entries(line, entry)) * line


def leaf_tables(pages, first_vpn, entries):
    """Leaf tables of `entries` entries that so many pages from `first_vpn` on take."""
    return (first_vpn + pages - 1) // entries - first_vpn // entries + 1


def list_all(windows, processes):
    """Areas on the list of a file that `processes` map through the same `windows`: a walk without a stop."""
    return windows * processes


def list_mean(windows, processes):
    """Mean over the windows of a walk that stops at mapcount: the list is grouped by window, in order of mapping."""
    return Fraction(processes * (windows + 1), 2)


def random_mean(useful, total):
    """Expected length of a walk that ends at the last of `useful` entries spread at random among `total`."""
    return Fraction(useful * (total + 1), useful + 1)


def random_variance(useful, total):
    """Its variance: the largest of `useful` numbers drawn from 1..total without repetition."""
    return Fraction(useful * (total + 1) * (total - useful), (useful + 1) ** 2 * (useful + 2))


def tree_height(last_page):
    """ceil(log2(last_page + 1)): steps from the root of a prio_tree to its lowest node [prio_tree.txt: index_bits]."""
    return last_page.bit_length()


def bytes_added(processes, areas, per_area, per_head, heads, per_mm):
    """What a scheme adds to a kernel: to areas, in heads of lists, for address spaces."""
    return processes * areas * per_area + heads * per_head + processes * per_mm


def rewritten_list_mean(children, pages, rewritten):
    """Mean length of an anon_vma's list walk, newest area first, stop at mapcount, over every page.

    The parent's area is the last of children + 1. Each child rewrote `rewritten` of `pages` pages, the same ones.
    """
    copies = children * rewritten
    to_copies = rewritten * children * (children + 1) // 2         # child i of N stands at place N + 1 - i
    to_parents = pages * (children + 1)                            # its own copies last, shared pages too
    return Fraction(to_copies + to_parents, pages + copies)


def rewritten_found_mean(children, pages, rewritten):
    """Mean number of mappings of a page in the same family: what a walk without a miss takes."""
    return Fraction(pages * (children + 1), pages + children * rewritten)


def rewritten_kin_mean(children, pages, rewritten):
    """Mean number of areas that may have a page in the same family, if a child's writes are the child's own: one for
    each copy, all children + 1 for each of the parent's pages, shared or not."""
    copies = children * rewritten
    return Fraction(pages * (children + 1) + copies, pages + copies)


def family_tree(children, inherited=1, own=0):
    """(anon_vmas, avcs) of a parent's `inherited` areas and of children who each have `own` areas more.

    A child's inherited area has an anon_vma of its own, and avcs for that one and for the parent's.
    """
    return inherited + children * (inherited + own), inherited + children * (2 * inherited + own)


def copied_areas(forking, inherited, own):
    """Areas that forks have copied in such a family: the parent's, and all those of `forking` children."""
    return inherited + forking * (inherited + own)


def line_of_forks(generations, live, reuse):
    """(anon_vmas, avcs) of one area in a line of forks: generation g forks g + 1, and the `live` youngest are there.

    An area has avcs for all generations up to its own, the first one 0. With `reuse` a child takes over the anon_vma of
    the oldest one but the first whose process has gone: one for each process alive, one that has just become free, and
    the first one's, which nobody takes over.
    """
    lengths = [min(g + 1, live + 2) if reuse else g + 1 for g in range(max(0, generations - live + 1), generations + 1)]
    return lengths[-1], sum(lengths)


def red_black_height(nodes):
    """Most nodes from the root of a red-black tree to a leaf, both counted: 2 log2(nodes + 1)."""
    return ((nodes + 1) ** 2).bit_length() - 1


def shm_pages(size):
    """Whole pages of a shared memory segment of `size` bytes, the last one begun."""
    return -(-size // PAGE)
