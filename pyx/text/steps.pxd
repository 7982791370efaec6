"""Steps through the bytes of a line: each takes the place where it begins, NULL if a step before it failed, and gives the place
behind, or NULL.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcmp

cdef enum:
    MOST_DIGITS = 9           # of a number that is used; a pid has at most seven


cdef inline const char* byte(const char* at, const char* end, char wanted) noexcept nogil:
    return at + 1 if at and at < end and at[0] == wanted else NULL


cdef inline const char* literal(const char* at, const char* end, const char* wanted, size_t length) noexcept nogil:
    return at + length if at and <size_t> (end - at) >= length and memcmp(at, wanted, length) == 0 else NULL


cdef inline const char* blanks(const char* at, const char* end) noexcept nogil:
    at = byte(at, end, c" ")
    while at and at < end and at[0] == c" ":
        at += 1
    return at


cdef inline bint printable(const char* at, const char* end) noexcept nogil:
    return at and at < end and c"!" <= at[0] <= c"~"


cdef inline const char* before_blank(const char* at, const char* end) noexcept nogil:
    return at if at and (at == end or at[0] == c" ") else NULL


cdef inline const char* word(const char* at, const char* end) noexcept nogil:
    cdef const char* start = at
    while printable(at, end):
        at += 1
    return before_blank(at, end) if at > start else NULL


cdef inline const char* digits(const char* at, const char* end) noexcept nogil:
    cdef const char* start = at
    while at and at < end and c"0" <= at[0] <= c"9":
        at += 1
    return at if at > start else NULL


cdef inline const char* decimal(const char* at, const char* end, uint64_t* value, int most=MOST_DIGITS) noexcept nogil:
    cdef const char* behind = digits(at, end)
    if not behind or behind - at > most:
        return NULL
    value[0] = 0
    while at < behind:
        value[0] = value[0] * 10 + <uint64_t> (at[0] - c"0")
        at += 1
    return behind


cdef inline const char* hexadecimal(const char* at, const char* end, uint64_t* value) noexcept nogil:
    cdef const char* start
    cdef uint64_t result = 0
    at = literal(at, end, b"0x", 2)
    if not at:
        return NULL
    start = at
    while at < end:
        if c"0" <= at[0] <= c"9":
            result = result << 4 | <uint64_t> (at[0] - c"0")
        elif c"a" <= at[0] <= c"f":
            result = result << 4 | <uint64_t> (at[0] - c"a" + 10)
        else:
            break
        at += 1
    value[0] = result
    return at if 0 < at - start <= 16 else NULL


cdef inline const char* clock(const char* at, const char* end, uint64_t* ns) noexcept nogil:
    """Seconds of ten digits at most, with a fraction of any length; what is finer than a nanosecond is dropped."""
    cdef const char* point = digits(at, end)
    cdef const char* behind = digits(byte(point, end, c"."), end)
    cdef int missing = 9
    if not behind or point - at > MOST_DIGITS + 1:
        return NULL
    ns[0] = 0
    while at < point:
        ns[0] = ns[0] * 10 + <uint64_t> (at[0] - c"0")
        at += 1
    at = point + 1
    while missing:
        ns[0] *= 10
        if at < behind:
            ns[0] += <uint64_t> (at[0] - c"0")
            at += 1
        missing -= 1
    return behind
