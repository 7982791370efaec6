"""What the columns of a comparison mean: printed with --legend, and in docs/reference/terms.md."""

TERMS = {
    "walks": "walks of one page through the reverse map, by page_referenced and try_to_unmap",
    "mms tried": "address spaces looked at in walks, whether they map the page or not",
    "areas tried": "areas (vm_area_struct) looked at in walks, those that do not cover the page too",
    "nodes": "blocks of chains and nodes of trees entered in walks",
    "PTEs tried": "page-table entries looked up in walks",
    "PTEs found": "those of them that mapped the page",
    "area lookups": "searches for the area of an address, which schemes need that know addresses only",
    "PT locks": "page-table locks taken in walks",
    "tried per found": "PTEs tried for each one found: 1 is a search that knows where to look",
    "PTEs swept": "entries that reclaim read by going through whole page tables, where a scheme has no reverse map",
    "ns/page, ns/copy, ns/entry, ns/fault": "time of the emulation for each page, copied entry, removed entry, fault",
    "for rmap at peak": "bytes that serve reverse mapping: in struct page, areas, address spaces, files, objects",
    "beside pages": "the same without what lies in each struct page, used or not (added_bytes_peak)",
    "bytes per page": "for rmap at peak, for each page in use at the peak without limits of memory",
    "struct page, struct vm_area": "bytes of one such structure under the scheme",
    "kernel memory": "bytes of all that is counted in low memory at peak: pages' structures, areas, objects, page tables",
    "of low memory, full at tasks": "32-bit kernels: share of it used at peak, and how many such processes fill it",
    "made by forks": "objects that there were more after forks than before, of the first 1,000 forks",
    "frames checked, points": "frames whose mappings were compared with a scan of all page tables, and at how many moments",
    "missed, extra": "mappings that the scheme did not find, or found though they are none; both must be 0",
    "calls done, failed": "operations that succeeded, and that failed as the kernel's calls do",
    "first differs": "number of the first operation that ended otherwise than under the first scheme",
    "contents digest": "of what programs see in memory: equal under all schemes whose calls end alike",
}


def lines():
    """The legend as lines."""
    yield ""
    longest = max(map(len, TERMS))
    for term, meaning in TERMS.items():
        yield f"{term:{longest}}  {meaning}"
