"""Verified cases as text for a terminal. Sees only the records."""
from collections import Counter

from rmapcore.lab.layout import grid, render
from rmapcore.units import visible

OUTCOMES = ("pass", "fail", "skipped")


def text(records, color, width=None):
    """A row for each file, then each failure with its reason, then the reasons for what was skipped."""
    live = any(record["live"] for record in records)
    columns = ["file", "scheme", "cases", "passed", "failed", "skipped"]
    columns += ["live passed", "live failed", "live skipped"] if live else []
    parts = [grid("", columns, rows(records, live), left=2)]
    failures = [record for record in records if "fail" in (record["emulator"], record["live"])]
    for record in failures:
        title = f"{record['case']} ({record['scheme'] or 'cannot be used'}) FAILED"
        parts += [visible(title), visible(f"    {record['reason']}")]
    parts += [""] if failures else []
    for column, title in (("emulator", "Skipped"), ("live", "Skipped on the live kernel")):
        reasons = Counter(record["reason"] for record in records if record[column] == "skipped")
        if reasons:
            parts += [f"{title}:", *(f"    {count:5,}  {reason}" for reason, count in reasons.most_common()), ""]
    notes = Counter((record["scheme"], bool(record["reason"])) for record in records if record["emulator"] == "pass")
    parts += [f"{count:,} cases under {scheme} passed with something left out, as the JSON says."
              for (scheme, noted), count in notes.items() if noted and not live]
    return render(parts, color, width)


def rows(records, live):
    """The cells of each file and scheme, in order."""
    found = {}
    for record in records:
        counts = found.setdefault((record["file"], record["scheme"]), Counter())
        counts["cases"] += 1
        counts["emulator", record["emulator"]] += 1
        counts["live", record["live"]] += 1
    for (file, scheme), counts in found.items():
        cells = [counts["emulator", outcome] for outcome in OUTCOMES]
        cells += [counts["live", outcome] for outcome in OUTCOMES] if live else []
        yield [file, scheme or "cannot be used", *(f"{number:,}" for number in (counts["cases"], *cells))]
