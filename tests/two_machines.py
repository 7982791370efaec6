"""A machine and its twin that do the same: one file, and processes that are born by fork."""
import differential
import rmapcore

PAGE = 4096


class Two:
    """processes: of the machine and of the twin, the first one there from the beginning; files: the file of each."""

    def __init__(self, scheme, pages=16, kind="disk", warm=False, kernel="6.18", **sizes):
        sizes = {"ram": 256 * PAGE, "swap": 256 * PAGE, **sizes}
        self.machine = rmapcore.Machine(scheme, kernel=kernel, track_contents=True, **sizes)
        self.twin = differential.twin_of(scheme, kernel=kernel, **sizes)
        self.files = [machine.file("f", pages * PAGE, kind, warm) for machine in (self.machine, self.twin)]
        self.processes = [[machine.spawn("p")] for machine in (self.machine, self.twin)]

    def do(self, call, process, *arguments):
        """Of both; a fork's child becomes the last process. How it ended: a name."""
        ends = []
        for processes in self.processes:
            try:
                result = getattr(processes[process], call)(*arguments)
                ends.append("done")
            except Exception as error:
                result = None
                ends.append(type(error).__name__)
            if call == "fork" and result is not None:
                processes.append(result)
        assert ends[0] == ends[1], (call, arguments)
        return ends[0]

    def mmap(self, process, at, pages, prot, flags, offset=0):
        for processes, file in zip(self.processes, self.files, strict=True):
            processes[process].mmap(at, pages * PAGE, prot, flags, file, offset * PAGE)

    def operate(self, operation, of_twin, *arguments):
        """An operation of the machine, and the twin's method that does the same to its file. The status."""
        status = self.machine.run(operation).tolist()[0]
        try:
            of_twin(self.files[1].record, *arguments)
            assert status == 0
        except OSError as error:
            assert status == error.errno
        return status

    def same(self):
        assert differential.difference(differential.observe(self.machine), differential.observe(self.twin)) == []
        if self.machine.scheme in differential.SOUND:
            self.machine.check()
            self.twin.check()
        else:
            assert differential.verdict(self.machine) == differential.verdict(self.twin)
