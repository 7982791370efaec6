"""Which processes descend from which, and which anonymous frames they share.

Processes are of one family if they share anonymous frames, or if one descends from the other without an execve in between,
which shows in the place of the stack: execve draws it at random.
"""
import numpy as np

from rmapcore.linux import proc

FIRST_MADE_UP = 1 << 22                        # pids above all real ones (PID_MAX_LIMIT)
VPN_BITS = 36                                  # page numbers of 48-bit addresses
ANON, ZERO, FILE = 0, -1, -2                   # kinds of pages; a label from 0 on is an anonymous frame
OTHERS = 1 << 57                               # identities of frames that are not known, above all places in swap
UNKNOWN = 1 << 58


class Node:
    """A process in a tree of those to build. seen: as it was read, None for an ancestor that is made up.

    vpns: its pages, ascending; labels: ZERO, FILE, or the number of an anonymous frame in memory or swap; swapped: which are.
    children: in the order in which they were born.
    """

    def __init__(self, pid, seen=None):
        self.pid = pid
        self.seen = seen
        self.children = []
        self.vpns = self.labels = np.empty(0, np.int64)
        self.swapped = np.empty(0, bool)

    @property
    def keys(self):
        """Frame and page in one number, of each anonymous page."""
        anon = self.labels >= 0
        return self.labels[anon] << VPN_BITS | self.vpns[anon]

    def members(self):
        """Itself and all below."""
        yield self
        for child in self.children:
            yield from child.members()


def nodes(seen):
    """([Node] in the order of birth, whether frames could be seen)."""
    made = [Node(one.pid, one) for one in sorted(seen, key=lambda one: (one.started, one.pid))]
    zero = proc.zero_frame()
    identities, unknown = [], UNKNOWN
    for node in made:
        words = node.seen.entries
        places = (words & proc.PLACE).astype(np.int64)
        node.vpns, node.swapped = node.seen.vpns, words & proc.SWAPPED != 0
        if zero:
            identity = np.where(node.swapped, places | proc.SWAPPED, places)
        else:
            identity = np.where(node.swapped | (words & proc.EXCLUSIVE != 0), unknown + np.arange(len(words)),
                                OTHERS | node.vpns)
            unknown += len(words)
        node.labels = np.where(node.swapped | (words & proc.OF_FILE == 0), ANON, FILE)
        if zero:
            node.labels[~node.swapped & (places == zero)] = ZERO
        identities.append(identity[node.labels == ANON])
    _, numbers = np.unique(np.concatenate(identities), return_inverse=True)
    start = 0
    for node, identity in zip(made, identities, strict=True):
        node.labels[node.labels == ANON] = numbers[start:start + len(identity)]
        start += len(identity)
    return made, zero > 0


class Holders:
    """How many processes hold each frame at the same page."""

    def __init__(self, made):
        self.keys, self.counts = np.unique(np.concatenate([node.keys for node in made]), return_counts=True)

    def count(self, keys):
        """For each of these keys."""
        return self.counts[np.searchsorted(self.keys, keys)]

    def shared(self, node):
        """For each page of a process, whether it is a frame that others hold too."""
        found = np.zeros(len(node.vpns), bool)
        found[node.labels >= 0] = self.count(node.keys) > 1
        return found

    def passed_on(self, child):
        """(pages, labels, which are swapped) that a child must find when it is born: those on its side that others hold too."""
        keys, first, counts = np.unique(np.concatenate([one.keys for one in child.members()]), return_index=True,
                                        return_counts=True)
        swapped = np.concatenate([one.swapped[one.labels >= 0] for one in child.members()])[first]
        wanted = counts < self.count(keys)
        vpns, labels = keys[wanted] & (1 << VPN_BITS) - 1, keys[wanted] >> VPN_BITS
        vpns, one_of_each = np.unique(vpns, return_index=True)
        return vpns, labels[one_of_each], swapped[wanted][one_of_each]


def trees(made, holders):
    """(roots, number of ancestors made up); sets `children`. A family without a common ancestor among them gets one."""
    by_pid = {node.pid: node for node in made}
    leader = {node: node for node in made}

    def find(node):
        while leader[node] is not node:
            node = leader[node]
        return node

    keys = [node.keys for node in made]
    owners = np.repeat(np.arange(len(keys)), [len(one) for one in keys])
    order = np.argsort(np.concatenate(keys), kind="stable")
    keys, owners = np.concatenate(keys)[order], owners[order]
    same = np.flatnonzero(keys[1:] == keys[:-1])
    for one, other in np.unique(np.stack([owners[same], owners[same + 1]]), axis=1).T.tolist():
        leader[find(made[other])] = find(made[one])
    ancestors = {node: [by_pid[pid] for pid in node.seen.ancestors if pid in by_pid] for node in made}
    for node in made:
        for ancestor in ancestors[node]:
            if ancestor.seen.stack_end == node.seen.stack_end:
                leader[find(node)] = find(ancestor)
    families = {}
    for node in made:
        parent = next((one for one in ancestors[node] if find(one) is find(node)), None)
        if parent is None:
            families.setdefault(find(node), []).append(node)
        else:
            parent.children.append(node)
    roots, n_made_up = [], 0
    for family in families.values():
        if len(family) > 1:
            ancestor = Node(FIRST_MADE_UP + n_made_up)
            ancestor.children = family
            n_made_up += 1
            family = [ancestor]
        roots += family
    return roots, n_made_up
