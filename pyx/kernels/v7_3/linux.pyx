"""Linux 7.0 (April 2026) and 7.3 (October 2026): 6.18 and what two changes of anonymous reverse mapping made of it.

   7.0  a copy of a chain of anon_vmas begins with the newest (rule QI4)     [53eb797ffc3a, d17f02417a33]
   7.3  areas have an anonymous page offset beside vm_pgoff (rules QI1-QI3)  [93c0c8dc87f6, 6a993c7f]

Both are numbers to the shared steps and the schemes, so 6.18's compiled text serves as it is. Nothing else that changed
between these kernels is here: docs/rules/7.3 says what that rests on.
"""
from rmapcore.pyx.kernels.v6_18.linux cimport Linux618


cdef class Linux70(Linux618):
    """Linux 7.0: 6.18 with the other order of chains."""

    cdef void bring_numbers(self) noexcept:
        Linux618.bring_numbers(self)
        self.s.copied_from = 1                 # anon_vma_clone, mm/rmap.c


cdef class Linux73(Linux70):
    """Linux 7.3: 7.0 with an anonymous page offset in each area."""

    cdef void bring_numbers(self) noexcept:
        Linux70.bring_numbers(self)
        self.s.tied = 0
