"""hunt: from what is asked for to a result."""
from rmapcore.arguments import seed_of, shown, whole
from rmapcore.core.files import check_directory
from rmapcore.errors import UnknownName, keeping
from rmapcore.kernels import find as find_kernel
from rmapcore.schemes import choose
from rmapcore.studies.hunt.cost import others
from rmapcore.studies.hunt.result import Hunt
from rmapcore.studies.hunt.search import Costs, Losses, Search
from rmapcore.studies.hunt.workers import workers

KERNEL = "6.18"
MOST_JOBS = 1024


def hunt(scheme, kernel=KERNEL, seconds=None, programs=None, seed=0, jobs=1, cost=None, directory=None, progress=None):
    """Looks for programs on which a scheme does not find all mappings of a page, or reports one twice; a Hunt.

    cost: None, or a factor: it looks for programs instead on which a walk looks at so many times what it looks at under the
    dearest of the other schemes that a kernel had (studies/hunt/cost.py).

    scheme: whatever names one (rmapcore/schemes.py), that can walk one page.  kernel: rules of all but the scheme.
    seconds, programs: after which it ends, whichever comes first; None and None: it goes on until KeyboardInterrupt, whose
    `partial` is the Hunt so far.  seed: of the programs.  jobs: processes that look; with more than one the scheme must be
    found by its text in another process.  What is found depends on seed and number of programs only.
    directory: None, or where the programs that were found are written to.  progress: None or called with (done, total, text).
    Raises TypeError, ValueError, UnknownName, and OSError for a directory that cannot be written to, before anything is run.
    """
    seed, jobs = seed_of(seed), whole(jobs, "jobs", 1, MOST_JOBS)
    seconds = None if seconds is None else whole(seconds, "seconds", 1)
    programs = None if programs is None else whole(programs, "programs", 1)
    if cost is not None and not (isinstance(cost, int | float) and cost > 1):
        raise ValueError(f"cost: {shown(cost)} is not a factor larger than 1")
    choice = choose(scheme)
    find_kernel(kernel)
    if choice.sweeps:
        raise ValueError(f"scheme {choice.text!r} sweeps page tables: it has no walk that could miss a mapping")
    if directory is not None:
        check_directory(directory)
    named = choice if jobs == 1 else elsewhere(choice)
    target = Losses(named, kernel, seed) if cost is None else Costs(named, kernel, seed, cost, tuple(others(choice.text)))
    with workers(jobs) as run:
        search = Search(target, run, seconds, programs, progress or (lambda done, total, text: None))

        def result(partial=False):
            made = Hunt(choice.text, kernel, seed, search, cost, partial)
            if directory is not None:
                made.write(directory)
            return made

        with keeping(lambda: result(partial=True)):
            search.all()
    return result()


def elsewhere(choice):
    """The text by which another process finds the scheme; ValueError if it does not."""
    text = choice.found_anywhere()
    try:
        found = choose(text)
    except UnknownName as error:
        raise ValueError(f"jobs: other processes do not find the scheme ({error}); it can be hunted with one job") from None
    if not choice.again or found.cls.__qualname__ != choice.cls.__qualname__:
        raise ValueError(f"jobs: other processes find another scheme by {text!r}; it can be hunted with one job")
    return text
