"""What prio_tree keeps."""
from damage import case


def tree_nodes(p, file):
    """Nodes of a file's tree."""
    stack, found = [int(p.prio_roots["node"][file])], []
    while stack:
        v = stack.pop()
        if v:
            found.append(v)
            stack += [int(p.prio_nodes["left"][v]), int(p.prio_nodes["right"][v])]
    return found


@case("PT1", "anonmm", "anon_vma")
def area_in_no_tree(p):
    p.prio_roots["node"][2] = 0


@case("PT2", "anonmm", "anon_vma")
def heap_upside_down(p):
    """The root's only child becomes the root."""
    tree, root = p.prio_nodes, int(p.prio_roots["node"][1])
    side, bare = ("left", "right") if tree["left"][root] else ("right", "left")
    child = int(tree[side][root])
    assert child and not tree[bare][root]
    for end in ("left", "right"):
        tree[end][root] = tree[end][child]
        tree[end][child] = 0
        if tree[end][root]:
            tree["parent"][tree[end][root]] = root
    tree[side][child] = root
    tree["parent"][[root, child]] = child
    p.prio_roots["node"][1] = child


@case("PT3", "anonmm", "anon_vma")
def node_off_its_path(p):
    node = next(v for v in tree_nodes(p, 1) if (p.prio_nodes["left"][v] != 0) != (p.prio_nodes["right"][v] != 0))
    p.prio_nodes["left"][node], p.prio_nodes["right"][node] = p.prio_nodes["right"][node], p.prio_nodes["left"][node]


@case("PT4", "anonmm", "anon_vma")
def node_of_another_parent(p):
    p.prio_nodes["parent"][p.prio_roots["node"][1]] = 0


@case("PT5", "anonmm", "anon_vma")
def set_that_does_not_lead_back(p):
    node = next(v for v in tree_nodes(p, 2) if p.prio_nodes["head"][v])
    p.prio_nodes["head"][p.prio_nodes["head"][node]] = 0


@case("PT1", "anonmm", "anon_vma")
def nonlinear_area_in_a_tree_as_well(p):
    p.prio_roots["node"][3] = p.nonlinear_oldest[4]
    p.prio_roots["bits"][3] = 1
