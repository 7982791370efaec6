"""Pages of files that hold what they did at the start, among those that a process maps. Costs nothing for pages beyond them."""
from rmapcore.units import PAGE


def filled_pages(process, filled, first, end):
    """{(number of the file, page in it)} of the pages of a process from first to end. filled: number of a file -> its pages."""
    found = set()
    for area in process.maps():
        if area["file"]:
            start, file = int(area["start"]) // PAGE, int(area["file"])
            back = int(area["pgoff"]) - start
            last = min(end, int(area["end"]) // PAGE, filled.get(file, 0) - back)
            found |= {(file, at + back) for at in range(max(start, first), last)}
    return found
