"""The radix priority search tree over the areas of a file: its records, and how it is asked. prio_tree.pyx changes it.

Follows 2.6.7 mm/prio_tree.c (McCreight 1985). An area is the closed interval [first, last] of its file pages. Upwards
the tree is a heap by `last` (ties: the smaller `first` is above); downwards it is a radix tree, by `first`, then
by size:

   depth 0 .. bits-1: right if the bit of `first` is set, top bit first     bits .. 2*bits-1: likewise by last - first
   `bits` is as many as the largest `last` ever needed since the tree was empty (1 at least): height <= 2 * bits

                A [0,9]                   areas with the same interval share one tree node (a vm_set):
                /                            T  ->  head H  <->  member  <->  member  <->  (back to H)
             D [2,5]
             /                            T.head = H, H.head = T; members know neither
          C [3,3]

One record per area, found by the area's number, overlaid as in the kernel: `left` and `right` are next and prev in a
set. An area's bounds must not change while it is in a tree. Costs: insert, remove O(bits), expand O(bits^2), a place
beside a known equal O(1), query O(bits + found).
"""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.base.records cimport Area

cdef enum:
    QUERY_ENDED = 255         # PrioCursor.depth: the tree is through (a real depth is below 128)

cdef struct PrioNode:         # 16 bytes by area; `shared` of vm_area_struct [2.6.7 include/linux/mm.h]. All 0: in no tree
    uint32_t left             # tree node: child or 0; in a set: next, circular
    uint32_t right            # tree node: child or 0; in a set: prev
    uint32_t parent           # tree node: parent, the root itself; in a set: 0
    uint32_t head             # tree node: head of its set or 0; head: the tree node; member: 0

cdef struct PrioRoot:         # 8 bytes by file; all 0 is an empty tree
    uint32_t node             # root, 0: empty
    uint32_t bits             # radix bits

cdef struct Forest:           # what the trees of a machine are made of
    PrioNode* node
    Area* area

cdef struct PrioCursor:       # a query under way; all 0 starts it
    uint32_t tree             # tree node reached
    uint32_t at               # area given last: the tree node or one of its set
    uint32_t depth            # of `tree`
    uint64_t value            # radix prefix of `tree`: no `first` below it is smaller


cdef inline uint64_t prio_first(Forest* t, vma_id v) noexcept nogil:
    return t.area[v].pgoff


cdef inline uint64_t prio_last(Forest* t, vma_id v) noexcept nogil:
    return t.area[v].pgoff + (t.area[v].end - t.area[v].start - 1)


cdef inline uint64_t prio_bit(uint32_t bits, uint32_t depth) noexcept nogil:
    """The bit of `first` that decides below a node of this depth; 0 where size decides."""
    return <uint64_t> 1 << (bits - 1 - depth) if depth < bits else 0


cdef inline vma_id prio_next_node(
    Forest* t, PrioRoot* root, PrioCursor* c, uint64_t first, uint64_t last, uint64_t* entered,
) noexcept nogil:
    """The next tree node that overlaps [first, last], in pre-order, or 0. Every node entered adds 1 to *entered.

    A subtree is left alone if its top's `last` is below `first` (heap), or if all of it starts above `last` (radix).
    """
    cdef vma_id cur = c.tree
    cdef vma_id child
    cdef uint64_t bit
    if c.depth == QUERY_ENDED:
        return 0
    if cur == 0:
        cur = root.node
        if cur == 0 or first > prio_last(t, cur):
            c.depth = QUERY_ENDED
            return 0
        entered[0] += 1
        if prio_first(t, cur) <= last:
            c.tree = cur
            return cur
    while True:
        child = t.node[cur].left
        if child and first <= prio_last(t, child):
            c.depth += 1
        else:
            while True:
                bit = prio_bit(root.bits, c.depth)
                child = t.node[cur].right
                if child and (c.value | bit) <= last and first <= prio_last(t, child):
                    c.value |= bit
                    c.depth += 1
                    break
                while cur != root.node and t.node[t.node[cur].parent].right == cur:
                    cur = t.node[cur].parent
                    c.depth -= 1
                    c.value &= ~prio_bit(root.bits, c.depth)
                if cur == root.node:
                    c.depth = QUERY_ENDED
                    return 0
                cur = t.node[cur].parent
                c.depth -= 1
        cur = child
        entered[0] += 1
        if prio_first(t, cur) <= last:
            c.tree = cur
            return cur


cdef inline vma_id prio_next(
    Forest* t, PrioRoot* root, PrioCursor* c, uint64_t first, uint64_t last, uint64_t* entered,
) noexcept nogil:
    """The next area that overlaps [first, last], or 0: a tree node, its head, the head's list, the next tree node."""
    cdef vma_id head, v = 0
    if c.at:
        head = t.node[c.tree].head
        if c.at == c.tree:
            v = head
        else:
            v = t.node[c.at].left
            if v == head:
                v = 0
    if v == 0:
        v = prio_next_node(t, root, c, first, last, entered)
    c.at = v
    return v
