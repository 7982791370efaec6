"""The file side with a tree of intervals (rules G12, G12a)."""

from ..common.check import require
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

    def check_tree(self, file, areas):
        nodes = list(file.tree.nodes())
        require(len(nodes) == len(areas) and {node.area for node in nodes} == set(areas), "G12: areas of the tree", file.number)
        require([node.start for node in nodes] == sorted(area.pgoff for area in areas), "G12: order", file.number)
        require(not nodes or not file.tree.root.red, "G12: root", file.number)
        paths = set()
        for node in nodes:
            area, children = node.area, (node.left, node.right)
            require((node.start, node.last) == (area.pgoff, area.pgoff + area.pages - 1), "G12: bounds", area.pgoff)
            require(all(child is None or child.parent is node for child in children), "G12: links", area.pgoff)
            require(not node.red or not any(child and child.red for child in children), "G12: red below red", area.pgoff)
            black, above = 0, node
            while above and None in children:
                black, above = black + (not above.red), above.parent
            paths |= {black} if None in children else set()
        require(len(paths) <= 1, "G12: black height", file.number)
