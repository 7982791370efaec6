"""Lines of `perf script` taken apart, many in one call: the columns of each, and the numbers behind its event.

    "            bash 18109/18109  3743.696761:  exceptions:page_fault_user: address=0x7fa7e7311b70 ip=… error_code=0x6"
     16 columns  pid / tid  [cpu]        time    event                       what its form says

Only what perf itself prints is taken, as it prints it: columns and names of printable ASCII, decimal numbers of at most
nine digits, 0x and lower-case digits of at most 64 bits. Every other line is given back whole (UNREAD), damaged ones too:
rmapcore.traces.lines reads those, or says what is wrong with them, and whatever is taken here it would read the same. So
nothing in here is an error.

    event         values                                    text
    UNREAD        (), and no pid/tid                        the line
    OTHER         ()                                        the event, which is not in the list, and all that follows
    FAULTS        how many lines, and no pid/tid            their operations, as bytes
    of form TEXT  ()                                        what follows the event
       NOTE       ()                                        the same, of an event that moves nobody
       MAPPING    start, length, offset, pid                what follows the offset
       FAULT      address, error code, time in ns           None
       COUNT      mm_id, curr, type by number, bytes        None
       RESULT     the result                                None
       ARGUMENTS  as many as the list of events says        None

Most lines are faults, and what becomes of one depends on where its thread lives. Who reads the lines says so at a
thread's first fault (`lives`), and a scan stops before the second; further ones become operations at once. That holds up to
the next line that may be a fork, an exec, an end or a special area (`moves`): a scan stops behind it, and the next begins with
all homes forgotten.
Costs: one pass over the bytes of a line; a tuple for each that is no fault.
"""
import numpy as np

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_New, PyTuple_SET_ITEM
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp, memset

from rmapcore.pyx.base.records cimport Operation
from rmapcore.pyx.text.steps cimport (
    before_blank, blanks, byte, clock, decimal, digits, hexadecimal, literal, printable, word,
)

cdef enum:                    # events; from LINE_FIRST on: those of the list, in its order
    LINE_UNREAD = 0
    LINE_OTHER = 1
    LINE_FAULTS = 2
    LINE_FIRST = 3

cdef enum:                    # what stands behind an event
    FORM_TEXT = 0
    FORM_MAPPING = 1
    FORM_FAULT = 2
    FORM_RESULT = 3
    FORM_ARGUMENTS = 4
    FORM_NOTE = 5
    FORM_COUNT = 6

cdef enum:
    COMM_COLUMNS = 16
    MOST_VALUES = 6
    COUNT_DIGITS = 18         # of a number of rss_stat: less than 63 bits
    BATCH = 256               # most lines of a scan: what they become stays in the cache until it is used
    HOMES = 256               # by the last bits of the tid; a thread that finds another in its place takes it
    OP_FAULT = 17             # rmapcore.operations.Op
    MADVISE_VALUES = 3        # madvise and some others have as many; a scan that stops behind one of them costs a moment only
    MADV_HUGEPAGE = 14

UNREAD, OTHER, FAULTS, FIRST = LINE_UNREAD, LINE_OTHER, LINE_FAULTS, LINE_FIRST
TEXT, MAPPING, FAULT, RESULT, ARGUMENTS, NOTE, COUNT = (FORM_TEXT, FORM_MAPPING, FORM_FAULT, FORM_RESULT, FORM_ARGUMENTS,
                                                        FORM_NOTE, FORM_COUNT)

cdef struct Line:
    uint64_t pid
    uint64_t tid
    uint64_t time             # ns
    uint64_t values[MOST_VALUES]
    int event
    int form                  # of an event of the list
    int n_values
    const char* text          # NULL: none belongs to the line
    const char* end           # of the text

cdef struct Home:
    uint64_t pid
    uint64_t tid
    uint64_t special_start    # faults from here on are not ordinary
    uint64_t special_end      # up to here
    uint32_t space            # the address space; 0: nobody has this place
    uint64_t asked            # the last scan that gave back a fault of a thread without a home that would have this place
    uint64_t asked_pid
    uint64_t asked_tid

cdef const char* columns(const char* at, const char* end, Line* line) noexcept nogil:
    """pid, tid and time of the line that begins at `at`; gives the place of the event."""
    cdef const char* processor
    if end - at <= COMM_COLUMNS or at[0] == c"#":
        return NULL
    at = decimal(blanks(at + COMM_COLUMNS, end), end, &line.pid)
    at = blanks(decimal(byte(at, end, c"/"), end, &line.tid), end)
    processor = byte(at, end, c"[")
    if processor:
        at = blanks(byte(digits(processor, end), end, c"]"), end)
    at = clock(at, end, &line.time)
    return blanks(byte(at, end, c":"), end)


cdef const char* fault_fields(const char* at, const char* end, uint64_t* values) noexcept nogil:
    """address=0x… ip=… error_code=0x…, and then only perf's addr column."""
    at = byte(hexadecimal(literal(at, end, b"address=", 8), end, &values[0]), end, c" ")
    at = word(literal(at, end, b"ip=", 3), end)
    at = before_blank(hexadecimal(literal(at, end, b" error_code=", 12), end, &values[1]), end)
    if not at or values[1] >> 32:
        return NULL
    while at < end and (at[0] == c" " or c"0" <= at[0] <= c"9" or c"a" <= at[0] <= c"f"):
        at += 1
    return at if at == end else NULL


cdef const char* argument_fields(const char* at, const char* end, uint64_t* values, int n) noexcept nogil:
    """name: 0x…, name: 0x…"""
    cdef const char* name
    cdef int number
    for number in range(n):
        name = at
        at = word(at, end)
        if not at or memchr(name, c",", at - name):
            return NULL
        at = hexadecimal(blanks(at, end), end, &values[number])
        if at and at < end and at[0] == c",":
            at += 1
        at = before_blank(at, end)
        if number + 1 < n:
            at = blanks(at, end)
    return at


cdef const char* mapping_fields(const char* at, const char* end, uint64_t* values) noexcept nogil:
    """pid/tid: [start(length) @ offset"""
    cdef const char* zero
    at = digits(byte(decimal(at, end, &values[3]), end, c"/"), end)
    at = hexadecimal(literal(at, end, b": [", 3), end, &values[0])
    at = hexadecimal(byte(at, end, c"("), end, &values[1])
    at = literal(at, end, b") @ ", 4)
    zero = literal(at, end, b"0 ", 2)          # %#x of perf prints no 0x here
    if zero:
        values[2] = 0
        return zero
    return byte(hexadecimal(at, end, &values[2]), end, c" ")


cdef const char* count_fields(const char* at, const char* end, uint64_t* values) noexcept nogil:
    """mm_id=1 curr=1 type=MM_ANONPAGES size=4096B"""
    at = decimal(literal(at, end, b"mm_id=", 6), end, &values[0], COUNT_DIGITS)
    at = decimal(literal(at, end, b" curr=", 6), end, &values[1], 1)
    at = kind_of_pages(literal(at, end, b" type=", 6), end, &values[2])
    at = decimal(literal(at, end, b" size=", 6), end, &values[3], COUNT_DIGITS)
    return before_blank(byte(at, end, c"B"), end) if at and values[1] <= 1 else NULL


cdef inline const char* kind_of_pages(const char* at, const char* end, uint64_t* number) noexcept nogil:
    """As rmapcore.traces.lines.RSS_KINDS numbers them."""
    cdef const char* behind = literal(at, end, b"MM_FILEPAGES", 12)
    number[0] = 0
    if not behind:
        number[0] = 1
        behind = literal(at, end, b"MM_ANONPAGES", 12)
    if not behind:
        number[0] = 2
        behind = literal(at, end, b"MM_SWAPENTS", 11)
    if not behind:
        number[0] = 3
        behind = literal(at, end, b"MM_SHMEMPAGES", 13)
    return behind


cdef inline bint moves(const Line* line) noexcept nogil:
    """Whether a line may change where a thread lives or what is special there: no fault, no half of a call but one that asks
    for huge pages, no mapping but [vdso] and the like, no event out of the list but perf's own."""
    if line.event >= LINE_FIRST:
        if line.form == FORM_ARGUMENTS:
            return line.n_values == MADVISE_VALUES and line.values[MADVISE_VALUES - 1] == MADV_HUGEPAGE
        return line.form == FORM_TEXT or (line.form == FORM_MAPPING and line.end[-1] == c"]")
    return line.event == LINE_UNREAD or literal(line.text, line.end, b"PERF_RECORD_", 12) != NULL


cdef tuple values_of(const Line* line):
    cdef tuple values = PyTuple_New(line.n_values)
    cdef object value
    cdef int number
    for number in range(line.n_values):
        value = line.values[number]
        Py_INCREF(value)                       # the tuple takes a reference of its own
        PyTuple_SET_ITEM(values, number, value)
    return values


cdef object text_of(const Line* line):
    if not line.text:
        return None
    if line.event == LINE_FAULTS:
        return PyBytes_FromStringAndSize(line.text, line.end - line.text)
    return PyUnicode_DecodeLatin1(line.text, line.end - line.text, NULL)


cdef class Scanner:
    """Takes lines apart for a list of events.

    events: (name, form, number of arguments; 0 for other forms than ARGUMENTS) of each. The time to find one grows with
    its place in the list, so the frequent ones come first. ValueError if one has more than six arguments.
    user_end: end of user space, bytes; a fault from there on is not ordinary.
    """
    cdef const uint8_t[::1] names      # one after the other
    cdef uint32_t[::1] starts          # of each name, and the end of the last
    cdef uint8_t[::1] forms
    cdef uint8_t[::1] n_values
    cdef int n_events
    cdef uint64_t user_end
    cdef bint stale                    # the last scan ended with a line that may change who lives where
    cdef uint64_t scans
    cdef Line batch[BATCH]
    cdef Operation faults[BATCH]
    cdef Home homes[HOMES]

    def __init__(self, events, user_end):
        names, forms, n_arguments = zip(*events, strict=True)
        if max(n_arguments) > MOST_VALUES:
            raise ValueError(f"an event has {max(n_arguments)} arguments, more than {MOST_VALUES}")
        self.names = "".join(names).encode("ascii")
        self.starts = np.cumsum([0, *map(len, names)], dtype=np.uint32)
        self.forms = np.array(forms, np.uint8)
        self.n_values = np.array([{FORM_MAPPING: 4, FORM_FAULT: 3, FORM_RESULT: 1, FORM_COUNT: 4}.get(form, n)
                                  for form, n in zip(forms, n_arguments, strict=True)], np.uint8)
        self.n_events = len(names)
        self.user_end = user_end

    def lives(self, who, uint32_t space, uint64_t special_start, uint64_t special_end):
        """The thread (pid, tid) lives in an address space, not 0; its faults from special_start to special_end (bytes) are
        not ordinary. Until it may have moved, the others become operations at once."""
        cdef Home* home
        pid, tid = who
        if 0 <= pid < 1 << 32 and 0 <= tid < 1 << 32:      # no others are taken from a line
            home = &self.homes[<uint64_t> tid % HOMES]
            home.pid, home.tid, home.space = pid, tid, space
            home.special_start, home.special_end = special_start, special_end

    def scan(self, bytes block, Py_ssize_t start):
        """Some lines of a block from the one that begins at `start` on: ([(event, (pid, tid), values, text)…], next start).

        Lines are parted by line ends; behind the last one the next start is len(block) + 1. Texts are Latin-1.
        """
        cdef const char* first = PyBytes_AS_STRING(block)
        cdef const char* end = first + PyBytes_GET_SIZE(block)
        cdef const char* at = first + start
        cdef int n, number
        cdef Line* line
        if not 0 <= start <= len(block):
            raise ValueError(f"start {start} is outside of a block of {len(block)} bytes")
        with nogil:
            n = self.fill(&at, end)
        lines = []
        for number in range(n):
            line = &self.batch[number]
            lines.append((
                line.event,
                (line.pid, line.tid) if line.event >= LINE_OTHER and line.event != LINE_FAULTS else None,
                values_of(line),
                text_of(line),
            ))
        return lines, at - first

    cdef int fill(self, const char** at, const char* end) noexcept nogil:
        """Fills the batch from *at on, and puts *at behind it; how many places are used."""
        cdef const char* line_end
        cdef Line* line = NULL
        cdef int n = 0, n_lines = 0, n_faults = 0
        if self.stale:
            memset(self.homes, 0, sizeof(self.homes))
            self.stale = False
        self.scans += 1
        while at[0] <= end and n_lines < BATCH and not self.stale:
            line_end = <const char*> memchr(at[0], c"\n", end - at[0])
            if not line_end:
                line_end = end
            line = &self.batch[n]
            self.take(at[0], line_end, line)
            if line.event >= LINE_FIRST and line.form == FORM_FAULT and self.asked(line):
                break
            at[0] = line_end + 1
            n_lines += 1
            if line.event >= LINE_FIRST and line.form == FORM_FAULT and self.ordinary(line, &self.faults[n_faults]):
                if n and self.batch[n - 1].event == LINE_FAULTS:
                    line -= 1
                else:
                    line.event = LINE_FAULTS
                    line.values[0] = 0
                    line.n_values = 1
                    line.text = <const char*> &self.faults[n_faults]
                    n += 1
                n_faults += 1
                line.values[0] += 1
                line.end = <const char*> &self.faults[n_faults]
            else:
                n += 1
                self.stale = moves(line)
        return n

    cdef bint asked(self, const Line* line) noexcept nogil:
        """Whether this scan gives back a fault of the same thread already: where it lives will be known after that one."""
        cdef Home* home = &self.homes[line.tid % HOMES]
        if home.space and home.tid == line.tid and home.pid == line.pid:
            return False
        if home.asked == self.scans and home.asked_tid == line.tid and home.asked_pid == line.pid:
            return True
        home.asked, home.asked_pid, home.asked_tid = self.scans, line.pid, line.tid
        return False

    cdef bint ordinary(self, const Line* line, Operation* operation) noexcept nogil:
        """Whether a fault becomes an operation at once; then it has."""
        cdef const Home* home = &self.homes[line.tid % HOMES]
        cdef uint64_t address = line.values[0]
        if home.space == 0 or home.tid != line.tid or home.pid != line.pid:
            return False
        if address >= self.user_end or home.special_start <= address < home.special_end:
            return False
        memset(operation, 0, sizeof(Operation))
        operation.op = OP_FAULT
        operation.flags = <uint32_t> line.values[1]
        operation.process = home.space
        operation.addr = address
        operation.arg = line.values[2]
        operation.arg2 = line.tid
        return True

    cdef void take(self, const char* at, const char* end, Line* line) noexcept nogil:
        """Sets all of `line` that its event has."""
        line.text = NULL
        line.end = end
        line.n_values = 0
        line.event = self.fields(at, end, line)
        if line.event == LINE_UNREAD:
            line.text = at
            line.n_values = 0

    cdef int fields(self, const char* at, const char* end, Line* line) noexcept nogil:
        """The event of a line; sets what belongs to it."""
        cdef const char* event = columns(at, end, line)
        cdef const char* rest = word(event, end)
        cdef int number
        if not rest:
            return LINE_UNREAD
        number = self.find(event, rest - event)
        rest = blanks(rest, end)
        if not printable(rest, end):
            return LINE_UNREAD
        if number < 0:
            line.text = event
            return LINE_OTHER
        line.form = self.forms[number]
        line.n_values = self.n_values[number]
        if line.form == FORM_FAULT:
            rest = fault_fields(rest, end, line.values)
            line.values[2] = line.time
        elif line.form == FORM_RESULT:
            rest = before_blank(hexadecimal(rest, end, line.values), end)
        elif line.form == FORM_COUNT:
            rest = count_fields(rest, end, line.values)
        elif line.form == FORM_ARGUMENTS:
            rest = argument_fields(rest, end, line.values, line.n_values)
        else:
            if line.form == FORM_MAPPING:
                rest = mapping_fields(rest, end, line.values)
            line.text = rest
        return LINE_FIRST + number if rest else LINE_UNREAD

    cdef int find(self, const char* name, size_t length) noexcept nogil:
        """Number of an event in the list, -1 if it is not there."""
        cdef int number
        cdef uint32_t start
        for number in range(self.n_events):
            start = self.starts[number]
            if self.starts[number + 1] - start == length and memcmp(&self.names[start], name, length) == 0:
                return number
        return -1
