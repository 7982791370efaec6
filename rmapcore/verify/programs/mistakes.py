"""Steps that the kernel refuses."""
from rmapcore.verify.programs.model import private


class Mistakes:
    def do_mistake(self):
        """A call that the kernel refuses, whatever is mapped or because of what is."""
        found = self.area()
        if not found:
            return
        at, n, page = found
        at = self.at(at)
        to = self.rng.randint(0, self.profile.window - 8)
        op, fields = self.rng.choice((
            ("mmap", {"at": at, "len": n, "prot": "rw"}),
            ("mmap", {"at": to, "len": 0, "prot": "rw"}),
            ("mmap", {"at": to, "at_off": 8, "len": 1, "prot": "rw", "replace": True}),
            ("munmap", {"at": at, "len": 0}),
            ("munmap", {"at": at, "at_off": 8, "len": n}),
            ("mprotect", {"at": at, "at_off": 8, "len": n, "prot": "r"}),
            ("madvise", {"at": at, "at_off": 8, "len": n, "advice": "dontneed"}),
            ("madvise", {"at": at, "len": n, "advice": "remove" if private(page) else "free"}),
            ("mremap", {"at": at, "old": n, "new": 0}),
            ("mremap", {"at": at, "at_off": 8, "old": n, "new": n}),
            ("mremap", {"at": at, "old": n, "new": n + 1, "to": to, "dontunmap": True}),
            ("mremap", {"at": at, "old": n, "new": n, "to": at} if isinstance(at, int) else {"at": at, "old": n, "new": 0}),
            ("mremap", {"at": at, "old": n, "new": n, "to": to, "to_off": 8}),
            ("mremap", {"at": self.profile.window + 40, "old": 1, "new": 2}),
            ("mlockall", {"flags": []}),
            ("mlockall", {"flags": ["onfault"]}),
            ("mbind", {"at": self.profile.window + 40, "len": 1, "policy": "bind"}),
            ("mseal", {"at": self.profile.window + 40, "len": 1}),
            ("mlock", {"at": self.profile.window + 40, "len": 1}),
            ("munlock", {"at": self.profile.window + 40, "len": 1}),
            ("madvise", {"at": self.profile.window + 40, "len": 1, "advice": "populate_read"}),
        ))
        self.add(op, **fields)
