"""What a page shows of locks on N processors (lab/contention.py): a plot of the speed-up, and who waited for whom."""
from rmapcore.lab.report.pictures import drawn, lines_of
from rmapcore.lab.report.sheets import cell, table


def of_rows(rows, labels):
    """{"scaling", "parts"} of rows that all have locks, each with a label."""
    return {"scaling": [scaling(rows, labels)], "parts": [{"title": f"Locks: {label}", "tables": [*tables(row["locks"], label)]}
                                                          for row, label in zip(rows, labels, strict=True)]}


def scaling(rows, labels):
    """Work in a time, on one processor and on more."""
    lines = []
    for row in rows:
        runs = [run for run in row["locks"]["scaling"] if run["time"]]
        lines.append(([run["cpus"] for run in runs], [runs[0]["time"] / run["time"] for run in runs]) if runs else None)
    return {"title": "Speed-up", "svg": drawn(lambda axes: speed_up(axes, lines, labels), "Speed-up, by processors")}


def speed_up(axes, lines, labels):
    lines_of(axes, lines, labels)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("processors")
    axes.set_ylabel("speed-up")


def tables(found, label):
    yield table(f"Kinds of locks on {found['cpus']} processors, {label}",
                ["lock", "taken", "waits", "contended", "ns waited", "longest wait, ns", "tries failed"], [
                    [cell(one["lock"]), cell(one["acquisitions"]), cell(one["waits"]), share(one["contended"]),
                     cell(one["wait"]), cell(one["longest"]), cell(one["failed"])] for one in found["classes"]])
    yield table(f"Locks that were waited for most, {label}",
                ["lock", "which", "taken", "waits", "contended", "ns waited", "longest wait, ns"], [
                    [cell(one["lock"]), cell(one["what"]), cell(one["acquisitions"]), cell(one["waits"]),
                     share(one["contended"]), cell(one["wait"]), cell(one["longest"])]
                    for one in found["objects"] if one["waits"]], 2)
    yield table(f"Who waited for whom, {label}", ["who", "for", "lock", "waits", "ns waited", "longest wait, ns"], [
        [cell(one["who_is"]), cell(one["whom_is"]), cell(one["lock"]), cell(one["waits"]), cell(one["wait"]),
         cell(one["longest"])] for one in found["pairs"]], 3)
    yield table(f"Who takes them, {label}", ["call", "lock", "taken", "ns held", "longest hold, ns"], [
        [cell(one["call"]), cell(one["lock"]), cell(one["acquisitions"]), cell(one["hold"]), cell(one["longest"])]
        for one in found["calls"]], 2, False)


def share(part):
    """A cell of a part of acquisitions; None: there were none."""
    return cell(0 if part is None else part, "" if part is None else f"{part:.4f}")
