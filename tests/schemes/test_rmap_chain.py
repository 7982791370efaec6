"""rmap_chain: addresses that a page is mapped at beside its index, each once in its chain (docs/facts/rmap-chain.md)."""
import rmapcore

PAGE = 4096
HERE, THERE = 0x40000000, 0x50000000


def moved():
    """(machine, parent, child): they share a page, and the parent has moved it away."""
    machine = rmapcore.Machine("rmap_chain", ram=64 * PAGE, swap=64 * PAGE)
    parent = machine.spawn()
    parent.mmap(HERE, PAGE, 3, 0x32)
    parent.write(HERE, PAGE)
    child = parent.fork()
    parent.mremap(HERE, PAGE, PAGE, 3, THERE)
    return machine, parent, child


def looked_at(machine, process, address):
    """(who maps the page, entries that its walk tried)"""
    pfn = int(process.pagemap(address, PAGE)["pfn"][0])
    before = machine.counters["ptes_tried"]
    _, pids, addresses = machine.whomaps([pfn])
    return sorted(zip(map(int, pids), map(int, addresses), strict=True)), machine.counters["ptes_tried"] - before


def test_an_address_is_chained_once():
    """Every process that is forked later has the page where the parent has it: that address is in the chain already."""
    machine, parent, child = moved()
    children = [parent.fork() for _ in range(3)]
    found, tried = looked_at(machine, child, HERE)
    assert found == sorted([(child.pid, HERE), *((one.pid, THERE) for one in (parent, *children))])
    assert tried == 5 * 2                      # each process at the index and at the one address beside it
    machine.check()


def test_a_page_that_comes_from_swap_to_two_addresses():
    """The first who asks for it says its index; the other's address is chained."""
    machine, parent, child = moved()
    machine.reclaim(1)
    child.read(HERE, PAGE)
    parent.read(THERE, PAGE)
    found, _ = looked_at(machine, child, HERE)
    assert found == sorted([(parent.pid, THERE), (child.pid, HERE)])
    machine.check()


def test_a_page_that_is_written_leaves_the_anonmm_of_who_has_ended():
    """Its last page gone, that one goes as well."""
    machine = rmapcore.Machine("rmap_chain", ram=64 * PAGE, swap=0)
    parent = machine.spawn()
    parent.mmap(HERE, 2 * PAGE, 3, 0x32)
    middle = parent.fork()
    middle.write(HERE, 2 * PAGE)
    child = middle.fork()
    middle.exit()
    live = []
    for page in range(2):
        child.write(HERE + page * PAGE, PAGE)
        live.append(machine.memory()["structures"]["anonmm"]["live"])
    assert live == [3, 2]
    machine.check()
