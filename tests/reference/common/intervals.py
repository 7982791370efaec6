"""The interval tree, for areas of files and of anon_vmas (docs/facts/file-pages.md, "Interval tree").

A red-black tree of areas by their first page, after the textbook (Cormen and others, ch. 13). How far a subtree reaches is
worked out anew each time it is asked.
"""


class Node:
    """An area's place in a tree; start and last: what of the file, or of the anon_vma, it holds, from `start` on."""

    def __init__(self, area, start=None):
        self.area = area
        self.start = area.pgoff if start is None else start
        self.last = self.start + area.pages - 1
        self.left = self.right = self.parent = None
        self.red = True

    @property
    def reach(self):
        return max([self.last] + [child.reach for child in (self.left, self.right) if child])


def red(node):
    return node is not None and node.red


class Tree:
    def __init__(self):
        self.root = None

    def insert(self, node):
        """Behind all of the same start."""
        parent, place = None, self.root
        while place:
            parent = place
            place = place.left if node.start < place.start else place.right
        self.hang(node, parent, parent is not None and node.start < parent.start)

    def insert_after(self, node, before):
        """Right behind `before`."""
        if before.right is None:
            self.hang(node, before, False)
            return
        place = before.right
        while place.left:
            place = place.left
        self.hang(node, place, True)

    def hang(self, node, parent, left):
        node.parent = parent
        if parent is None:
            self.root = node
        elif left:
            parent.left = node
        else:
            parent.right = node
        while red(node.parent):
            parent, grandparent = node.parent, node.parent.parent
            if parent is grandparent.left:
                uncle, inner = grandparent.right, parent.right
            else:
                uncle, inner = grandparent.left, parent.left
            if red(uncle):
                parent.red = uncle.red = False
                grandparent.red = True
                node = grandparent
                continue
            if node is inner:
                self.lift(node)
                node, parent = parent, node
            parent.red, grandparent.red = False, True
            self.lift(parent)
        self.root.red = False

    def lift(self, node):
        """A rotation: the node changes places with its parent."""
        parent, above = node.parent, node.parent.parent
        if node is parent.left:
            parent.left, node.right = node.right, parent
            moved = parent.left
        else:
            parent.right, node.left = node.left, parent
            moved = parent.right
        if moved:
            moved.parent = parent
        parent.parent = node
        self.instead(parent, node, above)

    def instead(self, old, new, above):
        """What led from above to old leads to new."""
        if above is None:
            self.root = new
        elif above.left is old:
            above.left = new
        else:
            above.right = new
        if new:
            new.parent = above

    def remove(self, node):
        if node.left and node.right:
            heir = node.right
            while heir.left:
                heir = heir.left
            # the heir changes places with the node, links, colour and all; then the node has one child at most
            heir.red, node.red = node.red, heir.red
            below = heir.right
            if heir is node.right:
                self.instead(node, heir, node.parent)
                heir.right, node.parent = node, heir
            else:
                above = heir.parent
                self.instead(node, heir, node.parent)
                heir.right = node.right
                heir.right.parent = heir
                above.left, node.parent = node, above
            heir.left = node.left
            heir.left.parent = heir
            node.left, node.right = None, below
            if below:
                below.parent = node
        child, parent = node.left or node.right, node.parent
        self.instead(node, child, parent)
        if not node.red:
            self.mend(child, parent)

    def mend(self, node, parent):
        """Paths through the node, which may be none, have a black node too few."""
        while parent is not None and not red(node):
            left = node is parent.left
            sibling = parent.right if left else parent.left
            if sibling.red:
                sibling.red, parent.red = False, True
                self.lift(sibling)
                sibling = parent.right if left else parent.left
            near, far = (sibling.left, sibling.right) if left else (sibling.right, sibling.left)
            if not red(near) and not red(far):
                sibling.red = True
                node, parent = parent, parent.parent
                continue
            if not red(far):
                near.red, sibling.red = False, True
                self.lift(near)
                sibling, far = near, sibling
            sibling.red, parent.red, far.red = parent.red, False, False
            self.lift(sibling)
            return
        if node:
            node.red = False

    def overlapping(self, index, count):
        """Nodes whose interval holds the index, in order; each node entered is counted as it is reached."""
        if self.root and index <= self.root.reach:
            yield from self.visit(self.root, index, count)

    def visit(self, node, index, count):
        count["nodes_visited"] += 1
        if node.left and index <= node.left.reach:
            yield from self.visit(node.left, index, count)
        if node.start <= index <= node.last:
            yield node
        if node.start <= index and node.right and index <= node.right.reach:
            yield from self.visit(node.right, index, count)

    def nodes(self):
        """All, in order."""
        node, above = self.root, []
        while node or above:
            while node:
                above.append(node)
                node = node.left
            node = above.pop()
            yield node
            node = node.right
