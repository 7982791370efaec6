"""The pages of the kernel's rings, entry by entry: the slow twin of `Converter.events` in `rmapcore.pyx.text.perfdata`."""
import struct


def events(data, form):
    """[(time, place of the entry, its event)] of pages. form: as of `rmapcore.linux.capture.rings.page_form`.

    ValueError if an entry goes beyond what is filled of its page.
    """
    size, head, filled = form
    found = []
    for page in range(0, len(data), size):
        time, = struct.unpack_from("<Q", data, page)
        at = page + head
        end = at + (struct.unpack_from("<I", data, page + filled)[0] & (1 << 27) - 1)
        if end > page + size:
            raise ValueError(at)
        while at + 4 <= end:
            word, = struct.unpack_from("<I", data, at)
            kind, delta = word & 31, word >> 5
            if kind == 29 and delta == 0:
                break
            second = struct.unpack_from("<I", data, at + 4)[0] if at + 8 <= end else None
            length = 4 + 4 * kind if 0 < kind <= 28 else 8 if kind >= 30 else None if second is None else 4 + second
            if length is None or length < 8 or at + length > end:
                raise ValueError(at)
            if kind == 31:
                time = time >> 59 << 59 | (second << 27 | delta)
            elif kind == 30:
                time += (second << 27) + delta
            elif kind != 29:
                time += delta
                found.append((time % (1 << 64), at, data[at + (4 if kind else 8):at + length]))
            at += length
    return found
