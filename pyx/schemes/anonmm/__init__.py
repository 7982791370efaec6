"""The anonmm family, 2003 and 2004: anonymous pages by address space. In reading order:

   anonmm       what all share: an anonmm for each address space, in a ring with those of its fork family; as argued about in
                March 2004 (anonmm_naive), as in Linus's tree on one day in May (anonmm)
   rmap_chain   how it began, March 2003: a page that was moved has a chain of addresses (rmap_chain)
"""
