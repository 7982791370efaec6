"""A checked replay as text for a terminal."""
import textwrap

from rmapcore.lab.layout import grid, render
from rmapcore.lab.tables import check_table, heading
from rmapcore.studies.replaycheck.states import MEMORY

WIDTH = 100


def checked(data, color, width=None):
    """Faults by kind, causes of the wrong ones, the first of them, and the check of the reverse map."""
    row = data
    parts = [heading(data | {"results": [row | {"pages": row["frames"]}]}), "",
             f"{row['scheme']} on {row['arch']}, file pages by {row['file_rmap']}", "",
             *headline(row), kinds_table(row), states_table(row)]
    if row["causes"]:
        parts += [causes_table(row), *explained(row), ""]
    if row["first_differences"]:
        parts.append(differences_table(row))
    if row.get("states", {}).get("first_differences"):
        parts.append(state_differences_table(row))
    for what, words in (("missing", "more in the recorded address spaces at their ends: they came without a trace"),
                        ("not_recorded", "more in the emulated address spaces at their ends")):
        if row["counts"][what]:
            parts.append(f"{row['counts'][what]:,} pages {words}")
    if row["taken"]:
        parts.append(f"swapped out by the scheme before a fault, as the recording says that it was: {row['taken']:,} pages")
    parts += [f"not checked: {count:,}  {reason}" for reason, count in row["not_checked"].items()] + [""]
    parts += [check_table([row], [row["scheme"]])]
    parts += [f"PROBLEM: {problem}" for problem in data["problems"]]
    return render(parts, color, width)


def share(counts):
    return f"{counts['right'] / counts['checked']:.3%}" if counts["checked"] else "-"


def kinds_table(row):
    lines = [[kind, counts] for kind, counts in row["by_kind"].items() if counts["checked"]]
    outside = {key: row["faults"][key] - sum(counts[key] for _, counts in lines) for key in ("checked", "right")}
    if outside["checked"]:
        lines.append(["no area", outside])
    lines.append(["all", row["faults"]])
    return grid("Recorded faults against the emulated page table", ["memory", "checked", "right", "wrong", "share right"], [
        [kind, f"{counts['checked']:,}", f"{counts['right']:,}", f"{counts['checked'] - counts['right']:,}", share(counts)]
        for kind, counts in lines
    ])


def headline(row):
    """Of states: one sentence."""
    if "states" in row:
        processes = row["states"]["processes"]
        yield (f"{processes['right']:,} of {processes['checked']:,} processes equal in every area and page, in "
               f"{row['states']['count']:,} state{'s' * (row['states']['count'] != 1)}")
        yield ""


def states_table(row):
    """What operations came to, and what states hold."""
    lines = [["how operations ended", row["statuses"]], ["pages of address spaces at their ends", row["counts"]]]
    if "states" in row:
        lines += [["areas", row["areas"]], *([f"{kind} pages", row["pages"][kind]] for kind in MEMORY),
                  ["page tables of processes", row["page_tables"]]]
    return grid("Operations, and recorded states", ["what", "checked", "right", "wrong",
                                                                                        "share right"], [
        [what, f"{counts['checked']:,}", f"{counts['right']:,}", f"{counts['checked'] - counts['right']:,}", share(counts)]
        for what, counts in lines if counts["checked"]
    ])


def state_differences_table(row):
    columns = ["time", "process", "what", "address", "about"]
    return grid("The first differences of states", columns, [
        [f"{item['time']:.6f}", f"{item['process']} {item['name']}", item["what"], f"{item['start']:#x}-{item['end']:#x}",
         item["about"]] for item in row["states"]["first_differences"]
    ], left=5)


def causes_table(row):
    return grid("Wrong ones by likely cause", ["cause", "memory", "faults"], [
        [cause["cause"], cause["kind"], f"{cause['count']:,}"] for cause in row["causes"]
    ], left=2)


def explained(row):
    """What the causes mean, each once."""
    for name, about in {cause["cause"]: cause["about"] for cause in row["causes"]}.items():
        yield textwrap.fill(f"{name}: {about}", WIDTH, subsequent_indent="    ")


def differences_table(row):
    columns = ["operation", "time", "process", "address", "area", "recorded", "emulated", "cause"]
    return grid("The first differences", columns, [
        [f"{item['operation']:,}", f"{item['time']:.6f}", process(item), f"{item['address']:#x}", area(item["area"]),
         recorded(item["recorded"]), item["emulated"]["entry"] + ", writable" * item["emulated"]["writable"], item["cause"]]
        for item in row["first_differences"]
    ], left=8)


def process(item):
    thread = item["thread"]
    return f"{item['process']}" if thread in (0, item["process"]) else f"{item['process']}/{thread}"


def area(told):
    if told is None:
        return "none"
    what = told["file"].rpartition("/")[2] if told["file"] else "anonymous"
    at = f" at {told['offset']:#x}" if told["file"] else ""
    return f"{told['start']:#x}-{told['end']:#x} {told['prot']}{'s' if told['shared'] else 'p'} {what}{at}"


def recorded(told):
    return f"{told['mode']} {told['access']}, " + ("not allowed" if told["present"] else "no page")
