"""Mutation testing: one small change to the product at a time, and some test must notice.

    PYTHONPATH=tests python -m mutation [--count N] [--seed N] [--room ROOM]... [--lists N]

Prints how many were killed of those that change anything, and each that survived. What was found is kept in build/mutation,
so that a run goes on where an earlier one ended; survivors are tried again when the tests have changed. All kernels are
compiled once, with all mutants of them in, and the tests of a list are collected once. A mutant takes as long as its tests do
until one fails, one that survives as long as the suite, one in Python some seconds more.

    make.py          the changes, by seed
    rooms.py         what of the product is changed, and which tests are asked about it
    switch.py        many changes of the kernels in one source, chosen by number when it runs
    trial.py         builds them in a copy of the tree, and runs tests there
    survivors.toml   changes that no test can notice, and why
"""
