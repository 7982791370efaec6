"""What a recording says of the limits under which it was made."""
from rmapcore.units import PAGE, UNLIMITED


def parse_stack_limit(line):
    """Bytes or "unlimited" of a line like `# stack limit: 8388608`; None for other lines."""
    _, found, limit = line.partition("# stack limit: ")
    limit = limit.strip()
    if not found or not (limit == UNLIMITED or (limit.isdecimal() and len(limit) <= 20)):
        return None
    return limit if limit == UNLIMITED else int(limit) // PAGE * PAGE
