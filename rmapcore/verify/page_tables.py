"""Page tables of processes: VmPTE of a live one, which is bytes of all its tables but the top one, beside the emulator's.

    table of          top   3   2   leaf
    the window         |----#---#---#      an entry of the top table that nothing else uses: all below it is the case's
    a live program     |----#---#---#      code, heap and stack of its own; an emulated one has a heap only

What is compared is therefore how many more tables a process has than it, or the process it was forked from, had before its
first step in this address space. That is exact as long as all lies in the window, and the heap in the table it began in:
a place of the kernel's choice may share upper tables with the live program's own areas.
"""
from rmapcore.linux import proc
from rmapcore.verify.state import process_order


def beside_own(states, agents):
    """States of live processes with their tables. agents: process -> live_agent.Agent."""
    return {name: state._replace(tables=proc.page_tables(agents[name].pid) - agents[name].own_tables)
            for name, state in states.items()}


def touch_vdso(agent):
    """What mlockall does to the program's own: the vdso is in a leaf table of its own, which children have as well."""
    before = proc.page_tables(agent.pid)
    for area in proc.areas(agent.pid):
        if area.path == "[vdso]":
            agent.take(area.start, 1)
    agent.own_tables += proc.page_tables(agent.pid) - before


def with_tables(form, state):
    """The recorded form of a state, with "tables" for each process."""
    return {name: {**facts, "tables": state[name].tables} for name, facts in form.items()}


def differing_tables(here, there, names):
    """Texts for processes that have other numbers of tables. here, there: process -> number, None where it cannot be told."""
    return [f"{name} page tables: {here[name]} {names[0]}, {there[name]} {names[1]}"
            for name in sorted(here, key=process_order)
            if None not in (here[name], there[name]) and here[name] != there[name]]
