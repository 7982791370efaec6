"""A case written down as a file of cases has it, with what a kernel did as its expectation."""
import json

from rmapcore.verify.state import CODES, label, process_order
from rmapcore.verify.subject import VALUE

SHARING_CODES = frozenset(CODES[kind] for kind in ("anon", "file", "shmem", "swapped"))


def observed_case(case, errors, wheres, state, description):
    """The object of one line: the case's steps with the errors they gave, and everything seen at the end.

    errors: what each step gave.  wheres: the pages that the kernel chose, or None.  state: {process: ProcessState} at the end.
    """
    steps = []
    for step, error, where in zip(case.steps, errors, wheres, strict=True):
        step = {key: value for key, value in step.items() if key not in ("err", "where")}
        if where is not None:
            step["where"] = where
        if error == VALUE:             # a byte that the generator had not foreseen: it is not known here which it was
            if step["op"] == "pin_read":
                continue
            step.pop("value")
        elif error is not None:
            step["err"] = error
        steps.append(step)
    return {"id": case.id, "source": case.source, "description": description, "needs": list(case.needs),
            "files": case.files, "steps": steps, "expect": expectation(state), "live": "pass"}


def line(made):
    return json.dumps(made) + "\n"


def expectation(state):
    """What must hold to be in this state: areas with their flags, every page of them, who shares frames and slots."""
    expect = {"vmas": {}, "pages": {}, "flags": {}}
    shared = {}
    for name in sorted(state, key=process_order):
        process = state[name]
        expect["vmas"][name] = [area_row(area) for area in process.areas]
        expect["pages"][name] = [row for area in process.areas for row in page_rows(area, process.pages)]
        expect["flags"][name] = [[label(area.place, area.start), sorted(area.flags), []] for area in process.areas
                                 if area.flags]
        for (place, page), what in sorted(process.pages.items()):
            identity = ("slot", what.slot) if what.kind == "swapped" else ("frame", what.frame)
            if identity[1] is not None and CODES[what.kind] in SHARING_CODES:
                shared.setdefault(identity, []).append([name, label(place, page)])
    expect["same"] = [group for group in shared.values() if len(group) > 1]
    expect["differ"] = [[group[0] for group in shared.values()]] if len(shared) > 1 else []
    return {key: value for key, value in expect.items() if value}


def area_row(area):
    row = [label(area.place, area.start), label(area.place, area.end), area.perms, area.kind]
    return row if area.pgoff is None else [*row, area.pgoff]


def page_rows(area, pages):
    """Rows [start, end, kind, mapcount] of an area, pages that are none included."""
    rows, before = [], None
    for at in range(area.start, area.end):
        page = pages.get((area.place, at))
        what = ("none",) if page is None else (page.kind,) if page.kind in ("swapped", "guard", "zero") else (
            page.kind, page.mapcount)
        if what == before:
            rows[-1][1] = label(area.place, at + 1)
        else:
            rows.append([label(area.place, at), label(area.place, at + 1), *what])
        before = what
    return rows
