"""What interval_tree keeps."""
from damage import case


def root(p, file=1):
    return int(p.interval_roots[file])


@case("IT1", "anonmm", side="interval_tree")
def area_in_no_interval_tree(p):
    p.interval_roots[2] = 0


@case("IT1", "anonmm", side="interval_tree")
def nonlinear_area_in_an_interval_tree_as_well(p):
    p.interval_roots[3] = p.nonlinear_oldest[4]


@case("IT2", "anonmm", side="interval_tree")
def node_with_other_bounds(p):
    """Sound as a tree."""
    p.interval_nodes["last"][root(p)] -= 1
    assert p.interval_nodes["last"][root(p)] != p.interval_nodes["reach"][root(p)] - 1


@case("IT2", "anonmm", side="interval_tree")
def order_upside_down(p):
    """The children of the root change places."""
    children = p.interval_nodes["child"][root(p)]
    assert all(children) and len(set(p.interval_nodes["start"][[*children, root(p)]])) > 1
    p.interval_nodes["child"][root(p)] = children[::-1].copy()


@case("IT3", "anonmm", side="interval_tree")
def reach_too_short(p):
    p.interval_nodes["reach"][root(p)] -= 1


@case("IT4", "anonmm", side="interval_tree")
def node_of_another_parent(p):
    p.interval_nodes["parent"][p.interval_nodes["child"][root(p), 0]] = 0


@case("IT4", "anonmm", side="interval_tree")
def red_root(p):
    p.interval_nodes["red"][root(p)] = 1


@case("IT4", "anonmm", side="interval_tree")
def circle(p):
    p.interval_nodes["child"][root(p), 1] = root(p)


@case("NL1", "anonmm", side="interval_tree")
def area_off_the_nonlinear_list_beside_an_interval_tree(p):
    p.nonlinear_oldest[4] = 0
