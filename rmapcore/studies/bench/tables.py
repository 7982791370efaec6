"""A run as text for a terminal, at most some 110 columns wide. Sees only the Bench.

A bound stands beside the figure that it is about, with "yes" or "NO", and "?" where cores were busy and the figure suffers
from that; at the end stand all bounds, measured or not.
"""
from rmapcore.lab.layout import figure, grid, render
from rmapcore.studies.bench import against
from rmapcore.studies.bench.growth import growth_field
from rmapcore.studies.bench.measures import ONE_BY_ONE
from rmapcore.studies.bench.scenes import ORDERS
from rmapcore.studies.bench.sharing import SHARED_ORDERS
from rmapcore.studies.bench.targets import PAGES_OF_A_TIB, SHUFFLED, TARGETS
from rmapcore.units import format_size

RATIO, FASTER = "ratio_to_ideal", "times_faster_than_kernel"
SUFFERS = (RATIO, "speed_up", "to_processes")          # from busy cores
OWN_TABLES = ("two_threads", "two_threads_control", "memory", "memory_arenas", "memory_swapped_out", "replay", "parse", "load")
ORDERS_IN_WORDS = {ORDERS: "any", SHUFFLED: "shuffled", SHARED_ORDERS: "both"}
FIGURES = {"ratio_to_ideal": "to ideal", "times_faster_than_kernel": "times faster", "to_one_by_one": "to one by one",
           "ours_ns": "ns", "growth": "growth", "speed_up": "speed-up", "to_processes": "to processes",
           "bytes_per_page": "bytes", "candidate_ns": "ns a candidate"}
COUNTING = ("What counting costs takes a build without counters (RMAPCORE_UNCOUNTED=1, see setup.py) and its run with "
            "--against.")


def text(run, color, width=None):
    """All tables of a run."""
    names = list(dict.fromkeys(record["name"] for record in run.records))
    ordered = sorted(run.records, key=lambda record: (names.index(record["name"]), ORDERS.index(record["order"])))
    pages = [record for record in ordered if record["name"] not in OWN_TABLES]
    smallest = min((record["pages"] for record in pages), default=0)
    first = [record for record in pages if record["pages"] == smallest]
    tables = [ideal_table(first, run), sharing_table(first, run), kernel_table(first, run),
              *growth_tables(pages, smallest, run),
              threads_table(named(run, "two_threads") + named(run, "two_threads_control"), run),
              memory_table(run), recording_table(run), *against.parts(ordered, run.earlier)]
    parts = [run.heading, "", *(table for table in tables if table is not None), targets_table(run), COUNTING]
    parts += [f"Not measured: {note}" for note in run.notes]
    parts += [f"PROBLEM: {problem}" for problem in run.problems]
    if run.partial:
        parts.append("BROKEN OFF: medians are of the rounds that were finished")
    return render(parts, color, width)


def named(run, name):
    return [record for record in run.records if record["name"] == name]


def bound(run, record, field):
    """A bound on a field and whether it is kept: "<= 2  yes"; empty if there is none."""
    found = [target for target in run.targets(record) if target.field == field]
    doubt = "?" if field in SUFFERS and record["trusted"] is False else ""
    return "  ".join(f"{target.bound} {'yes' if target.holds(record) else 'NO'}{doubt}" for target in found)


def rows_of(records, cells):
    """A row for each record; name and order are written once for records in a row that agree in them."""
    last = None
    for record in records:
        kind = (record["name"], record["order"])
        yield [*(kind if kind != last else ("", "")), record["scheme"] or "-", *cells(record)]
        last = kind


def columns(*names):
    return ["what", "order", "scheme", *names]


def ideal_table(records, run):
    """Beside the ideal memory pass, and groups beside one by one."""
    alone = {(record["name"], record["order"], record["scheme"]): record["ours_ns"] for record in records}

    def cells(record):
        one = alone.get((record["name"] + ONE_BY_ONE, record["order"], record["scheme"]))
        return [figure(record["ours_ns"]), figure(record["ours_ns_iqr"]), figure(record["ideal_ns"]), figure(record[RATIO]),
                bound(run, record, RATIO),
                figure(one), figure(record["to_one_by_one"]), bound(run, record, "to_one_by_one")]

    records = [record for record in records if record["ideal_ns"] is not None and not record["name"].endswith(ONE_BY_ONE)
               and not of_sharing(record)]
    if not records:
        return None
    return grid("Nanoseconds per page, beside the ideal memory pass (first_touch: beside a bare loop of stores)",
                columns("ours", "IQR", "ideal", "ours to\nideal", "target", "one by\none", "ours to\none", "target"),
                list(rows_of(records, cells)), 3)


def of_sharing(record):
    """Whether it is about shared pages: no other has a number in its name."""
    return any(part.isdecimal() for part in record["name"].split("_"))


def sharing_table(records, run):
    """Shared pages, and pages to be found among the candidates of many processes."""
    def cells(record):
        return [figure(record["ours_ns"]), figure(record["ours_ns_iqr"]), figure(record["ideal_ns"]), figure(record[RATIO]),
                bound(run, record, RATIO), figure(record["candidate_ns"]), bound(run, record, "candidate_ns")]

    records = [record for record in records if of_sharing(record)]
    if not records:
        return None
    return grid("Swapout by the number of processes: nanoseconds per page-table entry, beside the ideal pass over the same\n"
                "entries, and per candidate of the walks",
                columns("ours", "IQR", "ideal", "ours to\nideal", "target", "candidate", "target"),
                list(rows_of(records, cells)), 3)


def kernel_table(records, run):
    """Beside the live kernel, and what is measured by itself."""
    def cells(record):
        return [figure(record["ours_ns"]), figure(record["ours_ns_iqr"]), bound(run, record, "ours_ns"),
                figure(record["kernel_ns"]), figure(record[FASTER]), bound(run, record, FASTER)]

    records = [record for record in records if record["ideal_ns"] is None or record["kernel_ns"] is not None]
    if not records:
        return None
    return grid("Nanoseconds per page, beside the live kernel",
                columns("ours", "IQR", "target", "live\nkernel", "times\nfaster", "target"), list(rows_of(records, cells)), 3)


def growth_tables(records, smallest, run):
    """Nanoseconds, and the ratio to the ideal pass, at each size; the largest beside the smallest."""
    sizes = sorted({record["pages"] for record in records})
    if len(sizes) < 2:
        return
    found = {}
    for record in records:
        found.setdefault((record["name"], record["order"], record["scheme"]), {})[record["pages"]] = record

    for field, title in (("ours_ns", "Nanoseconds per page"), (RATIO, "Ratio to the ideal pass")):
        def cells(record, field=field):
            at = found[record["name"], record["order"], record["scheme"]]
            last = at[max(at)]
            return [*(figure(at[size][field]) if size in at else "-" for size in sizes),
                    figure(last[field] / at[smallest][field]),
                    bound(run, last, "growth") if growth_field(last) == field else ""]

        firsts = [at[smallest] for at in found.values() if len(at) > 1 and at[smallest][field]]
        yield grid(f"{title}, by the number of pages",
                   columns(*(millions(size) for size in sizes), "growth", "target"),
                   list(rows_of(firsts, cells)), 3)


def millions(pages):
    """A number of pages, short if it is a round one."""
    return f"{pages:,}" if pages % (1 << 20) else f"{pages >> 20:,} Mi"


def threads_table(records, run):
    """Two machines in two threads."""
    def cells(record):
        return [f"{record['pages']:,}", figure(record["ours_ns"]), figure(record["ours_ns_iqr"]), figure(record["speed_up"]),
                figure(record["to_processes"]), bound(run, record, "to_processes")]

    if not records:
        return None
    return grid("Two machines in two threads: fill and swapout, nanoseconds per page of either",
                columns("pages", "ours", "IQR", "work to\none thread's", "to two\nprocesses'", "target"),
                list(rows_of(records, cells)), 3)


def memory_table(run):
    """Bytes of the host's memory."""
    found = {name: {record["scheme"]: record for record in named(run, name)} for name in OWN_TABLES}
    rows = []
    for scheme, filled in found["memory"].items():
        arenas, gone = found["memory_arenas"][scheme], found["memory_swapped_out"][scheme]
        rows.append([scheme, f"{filled['pages']:,}", figure(arenas["bytes_per_page"]), figure(filled["bytes_per_page"]),
                     bound(run, filled, "bytes_per_page"), figure(gone["bytes_per_page"]),
                     bound(run, gone, "bytes_per_page"), format_size(round(gone["bytes_per_page"] * PAGES_OF_A_TIB))])
    if not rows:
        return None
    return grid("Bytes of the host's memory per emulated page, each mapped once, no stamps",
                ["scheme", "pages", "records\nin use", "resident\nfilled", "target", "resident\nswapped out", "target",
                 "a machine\nof 1 TiB"], rows)


def recording_table(run):
    """A recording."""
    rows = []
    for name, unit, factor in (("parse", "MB/s of text", 1e3), ("load", "M events/s", 1e3),
                               ("replay", "M events/s", 1e3)):
        rows += [[name, record["scheme"] or "-", f"{record['pages']:,}", figure(record["ours_ns"]),
                  figure(record["ours_ns_iqr"]), bound(run, record, "ours_ns"), f"{figure(factor / record['ours_ns'])} {unit}"]
                 for record in named(run, name)]
    if not rows:
        return None
    return grid("The recording", ["what", "scheme", "bytes,\nevents", "ns each", "IQR", "target", "speed"], rows, 2)


def targets_table(run):
    """Every target: how many records keep to it, and the figure farthest from it."""
    rows = []
    for target in TARGETS:
        judged = [record for record in run.records if target in run.targets(record)]
        kept = sum(map(target.holds, judged))
        where = ORDERS_IN_WORDS.get(target.orders, target.orders[0])
        if target.least_pages > 1:
            where += f", {millions(target.least_pages)}"
        row = [target.name, where, f"{FIGURES[target.field]} {target.bound}"]
        if judged:
            worst = (min if target.least else max)(judged, key=lambda record: record[target.field])
            rows.append([*row, f"{kept} of {len(judged)} hold",
                         figure(worst[target.field]), worst["scheme"] or "-", worst["order"]])
        else:
            rows.append([*row, "not measured", "-", "-", "-"])
    return grid("Targets", ["what", "order", "target", "holds", "worst", "of", "in"], rows, 3)
