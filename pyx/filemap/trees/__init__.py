"""File pages by object with a tree of areas for each file, 2.6.7 to today. In reading order:

   side            what both share: when areas enter and leave the tree, and the nonlinear areas beside it (to 3.19)
   prio_tree       2.6.7 to 3.6: a radix priority search tree
   interval_tree   3.7 on: a red-black tree that knows how far its subtrees reach (the mechanism is parts/intervaltree)
"""
