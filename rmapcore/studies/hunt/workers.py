"""Who does the work of a hunt: this process, or several at once. Answers come in the order of the questions either way."""
import multiprocessing
import os
import signal
from contextlib import contextmanager


@contextmanager
def workers(jobs):
    """A function like map; with more than one job its work is done by so many processes, which end with the block.

    What they are given and give must pass from process to process; they do not hear Ctrl-C, whoever waits for them does.
    """
    if jobs == 1:
        yield map
        return
    pool = multiprocessing.get_context("spawn").Pool(jobs, deaf)
    try:
        yield pool.imap
    finally:
        pool.terminate()
        pool.join()


def deaf():
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def processors():
    """How many this process may use."""
    return len(os.sched_getaffinity(0))
