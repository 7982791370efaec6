"""The records of a run, as the interface has them, and those of an earlier run to compare with.

A record is a flat dict; a figure that was not measured is None (JSON: null).

   name, scheme, pages, order     what was measured; no two records of a run agree in all four. scheme is null for parse and
                                  load; pages counts events for replay and load, bytes for parse
   ours_ns, ideal_ns, kernel_ns   medians, nanoseconds per page (event, byte)
   ours_ns_iqr                    between which quarters the rounds lie: the interquartile range; null of fewer than two
   ratio_to_ideal                 ours_ns / ideal_ns
   times_faster_than_kernel       kernel_ns / ours_ns
   to_one_by_one                  time to that of the same without groups: median of the quotients of each round
   growth                         to the same at the smallest size of the run: ours_ns if the order is sequential, else
                                  ratio_to_ideal
   speed_up, to_processes         work of two threads to that of one, to that of two processes
   bytes_per_page                 of the host's memory
   candidate_ns                   nanoseconds per entry that walks looked up (sharing)
   target, holds                  what the record is held to, and whether it keeps to it; null without a target
   trusted                        false: cores were busy, and its ratio is one that suffers (busy)
"""
import json
import statistics

from rmapcore.studies.bench import targets
from rmapcore.studies.bench.growth import growth
from rmapcore.studies.bench.scenes import ORDERS

KEY = ("name", "scheme", "pages", "order")
FIGURES = ("ours_ns", "ideal_ns", "kernel_ns", "ratio_to_ideal", "times_faster_than_kernel", "to_one_by_one", "growth",
           "speed_up", "bytes_per_page", "ours_ns_iqr", "candidate_ns", "to_processes")
FIRST_FORMAT = (*KEY, *FIGURES[:5])    # what every file of records has


def key(record):
    """What two runs must agree in to be compared."""
    return tuple(record[field] for field in KEY)


def median(values):
    """None if there is nothing to take it of."""
    values = list(values)
    return statistics.median(values) if values and None not in values else None


def spread(values):
    """The interquartile range; None if there are fewer than two values."""
    values = list(values)
    if len(values) < 2 or None in values:
        return None
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return third - first


def quotient(a, b):
    return a / b if a and b else None


def record(scheme, samples):
    """One record from the samples of all rounds."""
    first = samples[0]
    seconds, ideal = median(sample.seconds for sample in samples), median(sample.ideal for sample in samples)
    made = dict.fromkeys((*KEY, *FIGURES, "target", "holds", "trusted"))
    made |= {"name": first.name, "scheme": scheme, "pages": first.pages, "order": first.order,
             "ours_ns": None if seconds is None else seconds / first.expected * 1e9,
             "ideal_ns": None if ideal is None else ideal / first.expected * 1e9,
             **{field: median(getattr(sample, field) for sample in samples)
                for field in ("speed_up", "to_processes", "bytes_per_page", "to_one_by_one", "candidate_ns")}}
    quarters = spread(sample.seconds for sample in samples)
    made["ours_ns_iqr"] = None if quarters is None else quarters / first.expected * 1e9
    made["ratio_to_ideal"] = quotient(made["ours_ns"], made["ideal_ns"])
    return made


def relate(records, pages, kernel, entry_data):
    """Fills in what takes more than one record, and judges.

    pages: the smallest size of the run.  kernel: {name: ns of the live kernel or None}.  entry_data: schemes that keep
    something for each page-table entry.
    """
    found = {key(made): made for made in records}
    for made in records:
        first = found.get((made["name"], made["scheme"], pages, made["order"]))
        if first and made["pages"] > pages:
            made["growth"] = growth(made, first)
        elif made["pages"] == pages:
            made["kernel_ns"] = kernel.get(made["name"])
            made["times_faster_than_kernel"] = quotient(made["kernel_ns"], made["ours_ns"])
        bounds = targets.of(made, made["scheme"] in entry_data)
        if bounds:
            made["target"] = ", ".join(f"{bound.field} {bound.bound}" for bound in bounds)
            made["holds"] = all(bound.holds(made) for bound in bounds)


def read(path):
    """The records that an earlier run wrote, by key. Raises OSError, or ValueError that names the file and what is wrong."""
    with open(path, "rb") as stream:
        text = stream.read()
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: this is no JSON: {error}") from None
    if isinstance(data, dict) and data.get("partial") is True:     # of a run that was broken off
        data = data.get("records")
    if not isinstance(data, list):
        raise ValueError(f"{path}: a list of records was expected, not {type(data).__name__}")
    earlier = {}
    for number, made in enumerate(data, 1):
        wrong = mistake(made)
        if not wrong and key(made) in earlier:
            wrong = "is there twice"
        if wrong:
            raise ValueError(f"{path}: record {number} {wrong}")
        earlier[key(made)] = dict.fromkeys(FIGURES) | made
    return earlier


def mistake(made):
    """What is wrong with a record of a file, or None."""
    if not isinstance(made, dict):
        return "is no object"
    missing = [field for field in FIRST_FORMAT if field not in made]
    if missing:
        return f"has no {missing[0]!r}"
    if not isinstance(made["name"], str) or not isinstance(made["scheme"], str | None):
        return "has no name or scheme that is text"
    if type(made["pages"]) is not int or made["pages"] < 1:
        return f"has pages {made['pages']!r}, not a number from 1 on"
    if made["order"] not in ORDERS:
        return f"has order {made['order']!r}, not one of {', '.join(ORDERS)}"
    for field in FIGURES:
        value = made.get(field)
        if value is not None and (type(value) not in (int, float) or not 0 <= value < float("inf")):
            return f"has {field} {value!r}, not a number of at least 0"
    return None
