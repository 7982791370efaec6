"""Names of the work counters, in the order of the enum in counters.pxd."""

COUNTERS = (
    "rmap_walks", "mms_tried", "vmas_tried", "nodes_visited", "ptes_tried", "ptes_found", "vma_lookups",
    "rmap_adds", "rmap_dups", "rmap_removes", "rmap_moves",
    "pages_copied_cow", "pages_copied_mremap", "cow_reuses", "vma_merges", "vma_splits",
    "faults_zero", "faults_file", "faults_swapin", "faults_cow", "faults_spurious",
    "lock_page_table", "lock_page_table_held", "lock_chain", "lock_chain_held", "lock_anonmm", "lock_anonmm_held",
    "lock_anon_vma", "lock_anon_vma_held", "lock_i_mmap", "lock_i_mmap_held", "scanned_ptes",
)
assert len(COUNTERS) == N_COUNTERS
