"""A command that is caught at its end: it stands there, whole, before its memory is given up.

    Popen            execve          DETACH, SEIZE              exit: PTRACE_EVENT_EXIT          CONT
    PTRACE_TRACEME   SIGTRAP         and goes on                `at_end` looks at it             ends

Only the first thread of the command is traced, and only its end and its signals are seen (ptrace(2)). One that is killed
(SIGKILL) does not stop, and a thread that calls exit_group kills the first.
"""
import ctypes
import os
import signal
import subprocess

from rmapcore.errors import CaptureError

TRACEME, CONT, DETACH, SEIZE, LISTEN = 0, 7, 17, 0x4206, 0x4208
TRACE_EXIT = 1 << 6
EVENT_EXIT, EVENT_STOP = 6, 128
WALL = 0x40000000
STOPS = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


class Held(subprocess.Popen):
    """at_end() is called when the command has begun to end. The thread that makes it must wait for it."""

    def __init__(self, words, at_end, **options):
        super().__init__(words, preexec_fn=trace_me, **options)
        self.at_end = at_end
        os.waitpid(self.pid, WALL)
        self._request(DETACH, signal.SIGSTOP)
        os.waitpid(self.pid, WALL | os.WUNTRACED)
        self._request(SEIZE, TRACE_EXIT)
        os.kill(self.pid, signal.SIGCONT)

    def _request(self, what, data=0):
        if _libc.ptrace(what, self.pid, None, data):
            error = ctypes.get_errno()
            self.kill()
            raise CaptureError(f"the command cannot be held at its end: ptrace: {os.strerror(error)}")

    def wait(self, timeout=None):
        """Its exit status; a timeout is not heard."""
        while self.returncode is None:
            _, status = os.waitpid(self.pid, WALL)
            if not os.WIFSTOPPED(status):
                self.returncode = os.waitstatus_to_exitcode(status)
                break
            event, number = status >> 16, os.WSTOPSIG(status)
            if event == EVENT_EXIT:
                self.at_end()
            listens = event == EVENT_STOP and number in STOPS              # stopped with its group, until SIGCONT
            _libc.ptrace(LISTEN if listens else CONT, self.pid, None, 0 if event else number)
        return self.returncode


def trace_me():
    _libc.ptrace(TRACEME, 0, None, None)
