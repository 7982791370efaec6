"""The COW contexts of 2026, proposed and not merged. In reading order:

   contexts   the tree of contexts, pages, walks: what both schemes do
   variants   cow_context (repaired) and cow_context_2026_05 (as it stood, with its holes)
   moved      areas that are not where their pages' indices say, and their records
   remaps     the map of a context: ranges of indices, each with its offsets
   shown      all of it to look at
"""
