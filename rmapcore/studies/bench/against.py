"""A run beside an earlier one.

Seconds drift between runs, so ratios are compared: to the ideal pass, to the live kernel, of two threads to one and to
two processes, and bytes per page; nanoseconds stand beside them. A record is compared if name, scheme, pages and order agree.
"""
import textwrap

from rmapcore.lab.layout import figure, grid
from rmapcore.studies.bench import records

# field: what the table calls it, and whether more of it is better
COMPARED = {"ratio_to_ideal": ("to ideal", False), "times_faster_than_kernel": ("times faster", True),
            "speed_up": ("two threads", True), "to_processes": ("to processes", True),
            "bytes_per_page": ("bytes", False)}
SAME = 0.01                            # a smaller change is none
WIDTH = 110


def parts(now, earlier):
    """A table of then, now and change, and what cannot be compared; nothing without an earlier run."""
    if earlier is None:
        return
    here = {records.key(record): record for record in now}
    rows = [row for key, record in here.items() if key in earlier for row in changes(earlier[key], record)]
    if rows:
        yield grid("Against the earlier run", ["what", "order", "scheme", "pages", "figure", "then", "now", "change",
                                               "ns\nthen", "ns\nnow"], rows, 3)
    lines = [*alone([key for key in here if key not in earlier], "this run"),
             *alone([key for key in earlier if key not in here], "the earlier run")]
    yield from (textwrap.fill(line, WIDTH, subsequent_indent="   ", break_on_hyphens=False) for line in lines)
    yield ""


def changes(then, now):
    """A row for each figure that both have; one with nanoseconds only if there is none."""
    place = [now["name"], now["order"], now["scheme"] or "-", f"{now['pages']:,}"]
    ns = [figure(then["ours_ns"]), figure(now["ours_ns"])]
    both = [field for field in COMPARED if then[field] is not None and now[field] is not None]
    for field in both:
        name, more_is_better = COMPARED[field]
        yield [*place, name, figure(then[field]), figure(now[field]), change(then[field], now[field], more_is_better), *ns]
    if not both:
        yield [*place, "-", "-", "-", "-", *ns]


def change(then, now, more_is_better):
    """In words, since more is better for one figure and worse for another."""
    if not then:
        return "-"
    part = now / then - 1
    if abs(part) < SAME:
        return "same"
    return f"{abs(part):.0%} {'better' if (part > 0) == more_is_better else 'worse'}"


def alone(keys, where):
    """The records that have no partner, a line for each size and set of schemes."""
    schemes = {}
    for name, scheme, pages, _ in keys:
        schemes.setdefault((name, pages), {})[scheme or "the recording"] = True
    names = {}
    for (name, pages), found in schemes.items():
        names.setdefault((", ".join(found), pages), []).append(name)
    for (found, pages), them in names.items():
        yield f"Not comparable, in {where} only: {pages:,} pages, {found}: {', '.join(them)}"
