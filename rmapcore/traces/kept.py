"""What processes and threads have besides areas, as far as it decides what later calls do to areas.

Files behind descriptors: a recording says which file a mapping shows, not what open gave, so a descriptor is known from the
first mmap through it until it is closed, replaced, or its process executes another program. After that it may be any file,
and is none that is known.

READ_IMPLIES_EXEC of personality(2): a thread's own, inherited by what it creates, taken away by execve (x86-64).
"""

from rmapcore.traces.lines import parse_tasks

NUMBER = 0xFFFFFFFF  # a descriptor is 32 bits of its register


class Kept:
    """files: {pid: {descriptor: number of the file}}.  executing: (pid, tid) of the threads with READ_IMPLIES_EXEC."""

    def __init__(self):
        self.files = {}
        self.executing = set()

    def forked(self, event):
        """PERF_RECORD_FORK."""
        pid, tid, parent_pid, parent_tid = parse_tasks(event)
        if pid != parent_pid:
            self.files[pid] = dict(self.files.get(parent_pid, ()))
        if (parent_pid, parent_tid) in self.executing:
            self.executing.add((pid, tid))
        else:
            self.executing.discard((pid, tid))

    def executed(self, who):
        """Which descriptors stay open over an execve is not recorded: none is known any more."""
        self.files.pop(who[0], None)
        self.executing.discard(who)

    def mapped(self, who, descriptor, file):
        self.files.setdefault(who[0], {})[descriptor & NUMBER] = file

    def file(self, who, descriptor):
        """Number of the file, or None."""
        return self.files.get(who[0], {}).get(descriptor & NUMBER)

    def closing(self, name, who, arguments):
        """close, close_range, dup2 or dup3 begins: what it closes may be another file's before it has returned."""
        files = self.files.get(who[0])
        if not files:
            return
        if name == "close_range":
            first, last = (number & NUMBER for number in arguments)
            for number in [number for number in files if first <= number <= last]:
                del files[number]
        else:
            files.pop(arguments[-1] & NUMBER, None)

    def copied(self, who, old, new):
        """dup2 or dup3 has succeeded."""
        file = self.file(who, old)
        if file is not None:
            self.mapped(who, new, file)
