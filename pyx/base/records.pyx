"""numpy dtypes of the packed records, derived from the C structs so that no field is declared twice."""
import numpy as np

from rmapcore.pyx.base.records cimport (
    Area, AreaRecord, File, Frame, Gone, Head, Mm, Operation, PageRecord, Pool, Table,
)

cdef Frame _frame
cdef Area _area
cdef Mm _mm
cdef File _file
cdef Table _table
cdef Pool _pool
cdef Head _head
cdef Operation _operation
cdef PageRecord _page
cdef AreaRecord _area_record
cdef Gone _gone

FRAME = np.asarray(<Frame[:1]> &_frame).dtype
AREA = np.asarray(<Area[:1]> &_area).dtype
MM = np.asarray(<Mm[:1]> &_mm).dtype
FILE = np.asarray(<File[:1]> &_file).dtype
TABLE = np.asarray(<Table[:1]> &_table).dtype
POOL = np.asarray(<Pool[:1]> &_pool).dtype
HEAD = np.asarray(<Head[:1]> &_head).dtype
OPERATION = np.asarray(<Operation[:1]> &_operation).dtype


def _public(dtype):
    """The dtype without its padding fields (same size, same offsets)."""
    names = [name for name in dtype.names if name != "pad"]
    return np.dtype({
        "names": names,
        "formats": [dtype.fields[name][0] for name in names],
        "offsets": [dtype.fields[name][1] for name in names],
        "itemsize": dtype.itemsize,
    })


PAGE_RECORD = _public(np.asarray(<PageRecord[:1]> &_page).dtype)
AREA_RECORD = _public(np.asarray(<AreaRecord[:1]> &_area_record).dtype)
GONE = np.asarray(<Gone[:1]> &_gone).dtype             # as it lies in a ring
GONE_RECORD = _public(GONE)

for _dtype, _size in ((FRAME, 32), (AREA, 72), (MM, 96), (FILE, 56), (TABLE, 16), (POOL, 48), (OPERATION, 48),
                      (PAGE_RECORD, 32), (AREA_RECORD, 40), (GONE, 24)):
    assert _dtype.itemsize == _size, (_dtype, _size)
