"""Changing a radix priority search tree. Moving a node never moves an area: only links of records change."""
from libc.stdint cimport uint32_t, uint64_t

from rmapcore.pyx.base.ids cimport vma_id
from rmapcore.pyx.parts.priotree cimport Forest, PrioNode, PrioRoot, prio_first, prio_last


cdef uint64_t max_last(uint32_t bits) noexcept nogil:
    """Largest `last` that a tree of that many bits can hold."""
    return ((<uint64_t> 1 << bits) - 1) if bits < 64 else ~<uint64_t> 0


cdef void replace(Forest* t, PrioRoot* root, vma_id old, vma_id v) noexcept nogil:
    """v takes the place of the tree node `old`, whose own links stay as they were."""
    cdef PrioNode* n = t.node
    cdef vma_id parent = n[old].parent
    if root.node == old:
        root.node = v
        n[v].parent = v
    else:
        n[v].parent = parent
        if n[parent].left == old:
            n[parent].left = v
        else:
            n[parent].right = v
    n[v].left = n[old].left
    n[v].right = n[old].right
    if n[v].left:
        n[n[v].left].parent = v
    if n[v].right:
        n[n[v].right].parent = v


cdef void tree_remove(Forest* t, PrioRoot* root, vma_id v) noexcept nogil:
    """Takes a tree node out: on the path from it down to a leaf, along the larger `last`, all move up one place."""
    cdef PrioNode* n = t.node
    cdef vma_id cur = v
    cdef vma_id left, right, parent
    while True:
        left = n[cur].left
        right = n[cur].right
        if left and right:
            cur = left if prio_last(t, left) >= prio_last(t, right) else right
        elif left or right:
            cur = left | right
        else:
            break
    parent = n[cur].parent
    if parent == cur:                          # the root, alone
        root.node = 0
        root.bits = 1
        return
    if n[parent].right == cur:
        n[parent].right = 0
    else:
        n[parent].left = 0
    while cur != v:
        parent = n[cur].parent
        replace(t, root, parent, cur)
        cur = parent


cdef void hang_left(Forest* t, vma_id parent, vma_id child) noexcept nogil:
    t.node[parent].left = child
    t.node[child].parent = parent


cdef void expand(Forest* t, PrioRoot* root, vma_id v) noexcept nogil:
    """Makes v, whose `last` is above all others', the root of a tree of enough bits.

    Every bit more puts the old tree one level deeper, always to the left: v fills the first of these levels, roots
    taken off the old tree, in their order, the others. A tree that runs empty begins again with one bit.
    """
    cdef uint64_t last = prio_last(t, v)
    cdef vma_id bottom = v                     # of the left spine built so far
    cdef vma_id spine = 0                      # its first removed root
    cdef vma_id old
    if last > max_last(root.bits):
        root.bits += 1
    while last > max_last(root.bits):
        root.bits += 1
        if root.node == 0:
            continue
        old = root.node
        tree_remove(t, root, old)
        t.node[old].left = 0
        t.node[old].right = 0
        if spine == 0:
            spine = old
        else:
            hang_left(t, bottom, old)
        bottom = old
    t.node[v].left = 0
    t.node[v].right = 0
    t.node[v].parent = v
    if spine:
        hang_left(t, v, spine)
    if root.node:
        hang_left(t, bottom, root.node)
    root.node = v


cdef vma_id tree_insert(Forest* t, PrioRoot* root, vma_id v) noexcept nogil:
    """Makes v a tree node and returns v; or returns the tree node that has its interval already, changing nothing."""
    cdef PrioNode* n = t.node
    cdef vma_id cur, displaced, child
    cdef uint64_t first = prio_first(t, v)
    cdef uint64_t last = prio_last(t, v)
    cdef uint64_t cur_first, cur_last
    cdef uint32_t depth = 0
    cdef bint right
    if root.node == 0:
        root.bits = 1
    if root.node == 0 or last > max_last(root.bits):
        expand(t, root, v)
        return v
    cur = root.node
    displaced = v                              # the one that still needs a place; its interval is [first, last]
    while True:
        cur_first = prio_first(t, cur)
        cur_last = prio_last(t, cur)
        if cur_first == first and cur_last == last:
            return cur                         # nothing was displaced yet: an equal is met before any smaller node
        if cur_last < last or (cur_last == last and cur_first > first):
            replace(t, root, cur, displaced)
            cur, displaced = displaced, cur
            first = cur_first
            last = cur_last
        if depth < root.bits:
            right = (first >> (root.bits - 1 - depth)) & 1
        else:
            right = ((last - first) >> (2 * root.bits - 1 - depth)) & 1
        child = n[cur].right if right else n[cur].left
        if child == 0:
            break
        cur = child
        depth += 1
    n[displaced].left = 0
    n[displaced].right = 0
    n[displaced].parent = cur
    if right:
        n[cur].right = displaced
    else:
        n[cur].left = displaced
    return v


cdef void list_after(PrioNode* n, vma_id v, vma_id old) noexcept nogil:
    n[v].left = n[old].left
    n[v].right = old
    n[n[v].left].right = v
    n[old].left = v


cdef vma_id list_del(PrioNode* n, vma_id v) noexcept nogil:
    """Takes v out of its circle; who came after it, or 0 if it was alone."""
    cdef vma_id after = n[v].left
    n[n[v].right].left = after
    n[after].right = n[v].right
    return after if after != v else 0


cdef void prio_add(Forest* t, vma_id v, vma_id old) noexcept nogil:
    """v joins the areas with old's interval; the tree is not touched. Behind a list area, or at a tree node's tail."""
    cdef PrioNode* n = t.node
    n[v].parent = 0
    n[v].head = 0
    if n[old].parent == 0:
        list_after(n, v, old)
    elif n[old].head:
        list_after(n, v, n[n[old].head].right)
    else:
        n[v].left = v
        n[v].right = v
        n[v].head = old
        n[old].head = v


cdef void prio_insert(Forest* t, PrioRoot* root, vma_id v) noexcept nogil:
    """Adds an area with its present bounds."""
    cdef vma_id equal
    t.node[v].head = 0
    equal = tree_insert(t, root, v)
    if equal != v:
        prio_add(t, v, equal)


cdef void prio_remove(Forest* t, PrioRoot* root, vma_id v) noexcept nogil:
    """Takes an area out, in whichever of the four roles; its record is all 0 afterwards."""
    cdef PrioNode* n = t.node
    cdef vma_id head, after
    if n[v].head == 0:
        if n[v].parent:
            tree_remove(t, root, v)
        else:
            list_del(n, v)
    elif n[v].parent:                          # tree node with a set: the head succeeds it, the next becomes head
        head = n[v].head
        after = list_del(n, head)
        replace(t, root, v, head)
        n[head].head = after
        if after:
            n[after].head = head
    else:                                      # head: the next becomes head
        after = list_del(n, v)
        n[n[v].head].head = after
        if after:
            n[after].head = n[v].head
    n[v].left = 0
    n[v].right = 0
    n[v].parent = 0
    n[v].head = 0
