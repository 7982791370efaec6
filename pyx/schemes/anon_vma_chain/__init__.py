"""The anon_vma_chain family, 2.6.34 to today. In reading order:

   chains   what all kernels have had: a chain of anon_vmas for each area, its own and its ancestors'
   lists    2.6.34 to 3.6: an anon_vma keeps a list (anon_vma_chain_2010)
   trees    3.7 on: it keeps an interval tree; 3.19's reuse by one count (anon_vma_chain_degree), 6.0's by two (anon_vma_chain)
   shown    all of it to look at
"""
