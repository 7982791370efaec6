"""The prio_tree of the areas that map a file (rule G7; docs/facts/file-pages.md).

A node stands for all areas with the same closed interval [R, H] of file pages: a list in visiting order (the kernel's
tree node, then its vm_set head, then the head's list), so taking an area out touches the tree only if it was the last.
"""

from ..common.check import require
from ..common.reclaim import REFERENCED
from ..common.state import VM_LOCKED, VM_MAYSHARE
from .nonlinear import TreeSide


class Node:
    def __init__(self, r, h):
        self.r, self.h = r, h
        self.areas = []
        self.left = self.right = self.parent = None

    @property
    def rank(self):
        """Heap order: greater H above; at equal H the smaller R."""
        return (-self.h, self.r)


class Tree:
    def __init__(self):
        self.root = None
        self.bits = 1

    @property
    def limit(self):
        """The largest H that fits."""
        return (1 << self.bits) - 1

    def insert(self, r, h):
        """The node of [r, h], made if need be."""
        fresh = Node(r, h)
        if self.root is None or h > self.limit:
            self.expand(fresh)
            return fresh
        node, current = fresh, self.root
        mask, by_size = 1 << (self.bits - 1), False
        while True:
            if (current.r, current.h) == (node.r, node.h):
                return current
            if node.rank < current.rank:
                self.replace(current, node)
                node, current = current, node
            side = "right" if (node.h - node.r if by_size else node.r) & mask else "left"
            below = getattr(current, side)
            if below is None:
                node.left = node.right = None
                node.parent = current
                setattr(current, side, node)
                return fresh
            current = below
            mask >>= 1
            if not mask:
                mask, by_size = 1 << (self.bits - 1), True

    def expand(self, fresh):
        """Room for a greater H: roots that are taken out meanwhile hang in a chain to the left, below the new root."""
        chain = []
        if fresh.h > self.limit:
            self.bits += 1
        while fresh.h > self.limit:
            self.bits += 1
            if self.root is not None:
                chain.append(self.root)
                self.remove(self.root)
        last = fresh
        for node in chain:
            node.left = node.right = None
            self.hang_left(last, node)
            last = node
        if self.root is not None:
            self.hang_left(last, self.root)
        fresh.parent = None
        self.root = fresh

    def hang_left(self, parent, node):
        parent.left = node
        node.parent = parent

    def remove(self, node):
        """The leaf reached along the greater H takes its parent's place, that one its parent's, up to the node's."""
        leaf = node
        while leaf.left or leaf.right:
            if leaf.left and (not leaf.right or leaf.left.h >= leaf.right.h):
                leaf = leaf.left
            else:
                leaf = leaf.right
        parent = leaf.parent
        if parent is None:
            self.root, self.bits = None, 1
            return
        if parent.right is leaf:
            parent.right = None
        else:
            parent.left = None
        while leaf is not node:
            above = leaf.parent
            self.replace(above, leaf)
            leaf = above

    def replace(self, old, new):
        """new takes old's place and children."""
        new.parent, new.left, new.right = old.parent, old.left, old.right
        if old.parent is None:
            self.root = new
        elif old.parent.right is old:
            old.parent.right = new
        else:
            old.parent.left = new
        for child in (new.left, new.right):
            if child:
                child.parent = new

    def overlapping(self, index, count):
        """Nodes whose interval holds the index, in pre-order; each node entered is counted as it is reached."""
        if self.root and index <= self.root.h:
            yield from self.visit(self.root, index, 0, 1 << (self.bits - 1), False, count)

    def visit(self, node, index, value, mask, by_size, count):
        count["nodes_visited"] += 1
        if node.r <= index <= node.h:
            yield node
        right_value = value if by_size else value | mask
        next_mask = mask >> 1
        sized = by_size
        if not next_mask:
            next_mask, sized = 1 << (self.bits - 1), True
        if node.left and index <= node.left.h:
            yield from self.visit(node.left, index, value, next_mask, sized, count)
        if node.right and index >= right_value and index <= node.right.h:
            yield from self.visit(node.right, index, right_value, next_mask, sized, count)

    def nodes(self):
        """All nodes with what the radix says of them: (node, value, mask, by_size) as in visit()."""
        pending = [(self.root, 0, 1 << (self.bits - 1), False)] if self.root else []
        while pending:
            node, value, mask, by_size = pending.pop()
            yield node, value, mask, by_size
            right_value = value if by_size else value | mask
            next_mask, sized = mask >> 1, by_size
            if not next_mask:
                next_mask, sized = 1 << (self.bits - 1), True
            if node.left:
                pending.append((node.left, value, next_mask, sized))
            if node.right:
                pending.append((node.right, right_value, next_mask, sized))


class PrioTree(TreeSide):
    """The file side: areas enter and leave their file's tree; walks propose the areas that hold the page."""

    new_tree = Tree

    def __init__(self, machine):
        super().__init__(machine)
        self.node_of = {}

    def enter(self, area):
        node = area.file.tree.insert(area.pgoff, area.pgoff + area.pages - 1)
        node.areas.append(area)
        self.node_of[area] = node

    def leave(self, area):
        node = self.node_of.pop(area)
        node.areas.remove(area)
        if not node.areas:
            area.file.tree.remove(node)

    def enter_beside(self, child, parent):
        """No tree work: behind the last if the parent is the tree node itself, else right behind the parent."""
        node = self.node_of[parent]
        position = node.areas.index(parent)
        node.areas.insert(position + 1 if position else len(node.areas), child)
        self.node_of[child] = node

    def nonlinear_child_at(self, areas, parent):
        return areas.index(parent) + 1

    def overlapping(self, frame, purpose):
        for node in frame.file.tree.overlapping(frame.page, self.count):
            for area in node.areas:
                self.tried()
                if purpose == REFERENCED and area.flags & VM_LOCKED and area.flags & VM_MAYSHARE:
                    yield None
                if area.mm.rss:
                    yield area.mm, area, area.address(frame.page)

    def check_tree(self, file, areas):
        tree = file.tree
        hung = []
        require(tree.root is None or tree.root.parent is None, "G7: root", file.number)
        for node, value, mask, by_size in tree.nodes():
            hung.extend(node.areas)
            require(node.areas and node.h <= tree.limit, "G7: node", node.r, node.h)
            key, prefix_mask = (node.h - node.r, mask) if by_size else (node.r, mask)
            prefix = ~(2 * prefix_mask - 1) if not by_size else 0
            require(by_size or key & prefix == value & prefix, "G7: radix order", node.r, node.h, value, mask)
            for child in (node.left, node.right):
                require(not child or (child.parent is node and node.h >= child.h), "G7: heap order", node.r, node.h)
            for area in node.areas:
                require((area.pgoff, area.pgoff + area.pages - 1) == (node.r, node.h), "G7: vm_set", area.pgoff)
                require(self.node_of[area] is node, "G7: vm_set", area.pgoff)
        require(len(hung) == len(areas) and set(hung) == set(areas), "G7: areas of the tree", file.number)
