"""The system calls that a recording holds: those of `rmapcore.linux.syscalls` that are recorded as calls.

`CALLS` has for each its number and the names of its arguments, as perf prints them in a `syscalls:sys_enter_` line.
"""
from rmapcore.linux.syscalls import SYSCALLS

CALLS = {call.name: (call.number, call.arguments) for call in SYSCALLS.values() if call.word == "recorded"}
