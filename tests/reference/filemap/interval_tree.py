"""The file side with a tree of intervals (rule G12; schemes.md 5.6)."""

from ..common.intervals import Node, Tree
from .nonlinear import TreeSide


class IntervalTree(TreeSide):
    """The file side: areas enter and leave their file's tree; walks propose the areas that hold the page."""

    new_tree = Tree

    def __init__(self, machine):
        super().__init__(machine)
        self.node_of = {}

    def enter(self, area):
        self.node_of[area] = Node(area)
        area.file.tree.insert(self.node_of[area])

    def leave(self, area):
        area.file.tree.remove(self.node_of.pop(area))

    def enter_beside(self, child, parent):
        self.node_of[child] = Node(child)
        child.file.tree.insert_after(self.node_of[child], self.node_of[parent])

    def nonlinear_child_at(self, areas, parent):
        return len(areas)

    def overlapping(self, frame, purpose):
        for node in frame.file.tree.overlapping(frame.page, self.count):
            self.tried()
            if node.area.mm.rss:
                yield node.area.mm, node.area, node.area.address(frame.page)
