"""The rooms of the product, of each of which as many mutants are tried, and the tests that are asked about a file: a few that
find most, then more of the same room, then, where that is asked for, the suite.
"""

ROOMS = {
    "engine": ("pyx/engine/", "pyx/run/"),
    "kernels": ("pyx/kernels/",),
    "reclaim": ("pyx/reclaim/",),
    "schemes": ("pyx/schemes/", "pyx/parts/"),
    "filemap": ("pyx/filemap/",),
    "machine": ("pyx/machine/", "pyx/base/", "pyx/seam/", "pyx/look/", "rmapcore/core/", "rmapcore/machine.py",
                "rmapcore/process.py", "rmapcore/units.py", "rmapcore/arguments.py"),
    "profile": ("pyx/profile/",),
    "embed": ("pyx/embed/", "rmapcore/embedding.py"),
    "traces": ("rmapcore/traces/", "pyx/text/"),
    "linux": ("rmapcore/linux/",),
    "lab": ("rmapcore/lab/", "rmapcore/studies/", "rmapcore/workloads/", "rmapcore/schemes.py", "rmapcore/kernels.py"),
    "commands": ("rmapcore/commands/", "rmapcore/cli.py", "rmapcore/parsing.py", "rmapcore/start.py", "rmapcore/terminal.py"),
    "verify": ("rmapcore/verify/", "rmapcore/contract.py"),
}
# left out: what acts on the live kernel, mostly as root, where a mutant could do harm; what needs perf and root to run;
# makers of random programs, which no test can hold to one outcome; pictures; lists of names, with nothing to change
LEFT_OUT = ("rmapcore/linux/agent.py", "rmapcore/linux/live", "rmapcore/linux/swapdevice.py", "rmapcore/linux/frames.py",
            "rmapcore/linux/capture/", "rmapcore/verify/live", "rmapcore/verify/run_live.py", "rmapcore/verify/programs/",
            "rmapcore/verify/c_program.py", "rmapcore/lab/report/", "pyx/look/probe.pyx", "pyx/__init__", "pyx/prototype.py",
            "pyx/scheme.", "rmapcore/__", "rmapcore/capi.pxd", "rmapcore/errors.py", "rmapcore/operations.py",
            "rmapcore/version.py")


def twins(*schemes, arches=("x86_64",), seeds=(0, 3, 5)):
    """Random programs of 2.6.7 on machine and twin."""
    return [f"tests/engine/test_differential.py::test_machine_and_twin[{scheme}-{arch}-recorded-{seed}]"
            for scheme in schemes for arch in arches for seed in seeds]


def newer(*pairs):
    """The same of 6.18, of scheme-side."""
    return [f"tests/engine/test_differential.py::test_kernel_6_18[{pair}-{seed}]"
            for pair in pairs for seed in ("recorded-0", "recorded-1", "program-0")]


def sides(*pairs):
    return [f"tests/engine/test_differential.py::test_other_file_sides[{pair}-x86_64-recorded-{seed}]"
            for pair in pairs for seed in range(3)]


SOME = twins("anon_vma", seeds=(0, 1, 2, 5)) + twins("pte_chain", seeds=(3,)) + twins("virtual_scan", seeds=(4,))
ALL = [f"tests/engine/test_differential.py::test_{name}" for name in ("machine_and_twin", "kernel_6_18")]
NEWER = newer("anon_vma_chain-None", "anon_vma_chain-prio_tree")
LIMITS = ["tests/engine/test_limits_267.py", "tests/engine/test_calls.py"]
FULL = ["tests/machine/test_full_arenas.py"]
GROUPS = ["tests/lowlevel/test_groups.py"]
EXAMPLES = ["tests/schemes/test_worked_examples.py"]
CHECKS = ["tests/machine/test_check.py"]
LIST = ["tests/schemes/test_list.py"]
SHOWN = ["tests/machine/test_memory.py", "tests/machine/test_structure.py"]
OTHERS = ["tests/schemes/test_defects.py", "tests/schemes/test_contract.py", *FULL, *CHECKS, *GROUPS, *SHOWN]
CALLS = [*LIMITS, "tests/engine/test_edges.py", "tests/engine/test_nonlinear.py", "tests/engine/test_areas_267.py", *FULL,
         "tests/machine/test_run.py"]
TRACES = ["tests/traces", "tests/studies/test_replay_check.py", "tests/lab"]
MACHINE = ["tests/machine/test_machine.py", "tests/machine/test_saved.py"]

# beginning of a file's path: (tests asked first, more tests); the longest beginning that is here counts
TESTS = {
    "pyx/engine/": (SOME, CALLS + NEWER),
    "pyx/engine/room.pyx": (FULL, CALLS),
    "pyx/engine/pins.pyx": (NEWER, ["tests/machine", "tests/traces"]),
    "pyx/run/": (SOME[:3] + ["tests/machine/test_run.py"], CALLS + ["tests/studies"]),
    "pyx/kernels/v2_6_7/": (SOME, [*CALLS, "tests/engine/test_placement_267.py"]),
    "pyx/kernels/v6_18/": (NEWER, ["tests/engine/test_edges.py", "tests/engine/test_names.py", "tests/engine/test_placement.py",
                                   "tests/engine/test_refused_remaps.py", "tests/engine/test_swap_counts.py",
                                   "tests/engine/test_writeback.py", "tests/engine/test_tables.py", *FULL, *GROUPS,
                                   "tests/verify/test_verify.py"]),
    "pyx/kernels/v7_3/": (["tests/engine/test_kernel_7_3.py"], NEWER),
    "pyx/kernels/shared.pxi": (SOME, CALLS),
    "pyx/reclaim/": (SOME, [*GROUPS, "tests/lowlevel/test_probe.py", "tests/machine/test_profile.py",
                            "tests/schemes/test_virtual_scan.py", *CALLS]),
    "pyx/schemes/pte_chain": (twins("pte_chain"), [*EXAMPLES, *OTHERS]),
    "pyx/schemes/virtual_scan": (twins("virtual_scan"), ["tests/schemes/test_virtual_scan.py", *OTHERS]),
    "pyx/schemes/anonmm/": (twins("anonmm", "anonmm_naive", "rmap_chain", seeds=(0, 3)),
                            ["tests/schemes/test_rmap_chain.py", *EXAMPLES, *OTHERS, *ALL[:1]]),
    "pyx/schemes/anon_vma": (twins("anon_vma", "anon_vma_unshared", "anon_vma_2_6_7", seeds=(0, 3)),
                             [*EXAMPLES, *OTHERS, *ALL[:1]]),
    "pyx/schemes/anon_vma_chain/": (twins("anon_vma_chain", "anon_vma_chain_2010", "anon_vma_chain_degree", seeds=(0, 3)),
                                    ["tests/schemes/test_anon_vma_chain.py", "tests/schemes/test_anon_vma_lazy.py", *OTHERS,
                                     *ALL]),
    "pyx/schemes/cow_context/": (["tests/schemes/test_cow_context.py"], [*OTHERS, *ALL]),
    "pyx/parts/": (twins("pte_chain", "anon_vma_chain", seeds=(0, 3)) + ["tests/lowlevel/test_intervaltree.py"],
                   [*EXAMPLES, *OTHERS, *LIST, "tests/schemes/test_interval_tree.py"]),
    "pyx/filemap/": (sides("anon_vma-list", "anon_vma-interval_tree") + twins("anon_vma", seeds=(1,)),
                     [*LIST, "tests/schemes/test_interval_tree.py", "tests/engine/test_nonlinear.py", *CHECKS, *SHOWN,
                      "tests/engine/test_differential.py::test_other_file_sides"]),
    "pyx/filemap/trees/prio_tree": (twins("anon_vma", seeds=range(6)) + LIST, [
        "tests/schemes/test_prio_tree.py", "tests/engine/test_nonlinear.py", *EXAMPLES, *CHECKS, *SHOWN,
        "tests/engine/test_differential.py::test_other_file_sides"]),
    "pyx/machine/": (SOME[:3] + newer("anon_vma_chain-None")[:1], [*MACHINE, *CHECKS, *CALLS, *EXAMPLES]),
    "pyx/base/": (SOME[:3] + newer("anon_vma_chain-None")[:1], [*MACHINE, *CHECKS, *CALLS, "tests/lowlevel"]),
    "pyx/seam/": (["tests/schemes/test_prototype.py", "tests/schemes/test_seam.py"],
                  ["tests/schemes/test_hooks.py", "tests/machine/test_threads.py", *SOME]),
    "pyx/look/": ([*CHECKS, *SOME[:1]], [*MACHINE, "tests/machine", "tests/studies/test_replay_check.py", *OTHERS]),
    "pyx/profile/": (["tests/machine/test_profile.py", "tests/machine/test_locks.py"],
                     ["tests/machine/test_processors.py", "tests/lab/test_profiles.py", "tests/lab/test_contention.py",
                      "tests/lab/test_timelines.py"]),
    "pyx/profile/processors": (["tests/machine/test_processors.py"], ["tests/lab/test_contention.py"]),
    "pyx/embed/": (["tests/embed/test_capi.py", "tests/embed/test_near.py"], ["tests/embed"]),
    "pyx/text/": (["tests/lowlevel/test_perfdata.py"], TRACES),
    "pyx/text/perfline": (["tests/lowlevel/test_perfline.py"], TRACES),
    "rmapcore/": (MACHINE, ["tests/machine", "tests/engine/test_calls.py"]),
    "rmapcore/arguments.py": (["tests/machine/test_arguments.py"], ["tests/machine", "tests/lab/test_cli.py"]),
    "rmapcore/embedding.py": (["tests/embed/test_capi.py"], ["tests/embed"]),
    "rmapcore/kernels.py": (["tests/schemes/test_naming.py", "tests/lab/test_cli.py"], ["tests/lab"]),
    "rmapcore/commands/": (["tests/lab/test_cli.py", "tests/lab/test_every_command.py"], ["tests/lab", "tests/studies"]),
    "rmapcore/parsing.py": (["tests/lab/test_cli.py"], ["tests/lab"]),
    "rmapcore/start.py": (["tests/lab/test_cli.py"], ["tests/lab", "tests/house/test_imports.py"]),
    "rmapcore/terminal.py": (["tests/lab/test_as_users_do.py", "tests/lab/test_every_command.py"], ["tests/lab"]),
    "rmapcore/units.py": (["tests/lowlevel/test_units.py"], ["tests/machine/test_machine.py", "tests/lab/test_cli.py"]),
    "rmapcore/traces/": (["tests/traces/test_traces.py", "tests/traces/test_traces_calls.py"], TRACES),
    "rmapcore/traces/columns.py": (["tests/traces/test_traces_formats.py"], TRACES),
    "rmapcore/traces/descriptors.py": (["tests/traces/test_traces_strace.py"], TRACES),
    "rmapcore/traces/huge.py": (["tests/traces/test_traces_huge.py"], TRACES),
    "rmapcore/traces/im": (["tests/traces/test_traces_images.py", "tests/traces/test_traces_formats.py"], TRACES),
    "rmapcore/traces/kernelside.py": (["tests/traces/test_kernel_side.py"], TRACES),
    "rmapcore/traces/lines.py": (["tests/traces/test_traces_lines.py"], TRACES),
    "rmapcore/traces/mappings.py": (["tests/traces/test_traces_mappings.py"], TRACES),
    "rmapcore/traces/order.py": (["tests/traces/test_traces_formats.py"], TRACES),
    "rmapcore/traces/pagecache.py": (["tests/traces/test_page_cache.py"], TRACES),
    "rmapcore/traces/rarecalls.py": (["tests/traces/test_rare_calls.py"], TRACES),
    "rmapcore/traces/saved.py": (["tests/traces/test_hostile_saved_traces.py"], TRACES),
    "rmapcore/traces/states.py": (["tests/traces/test_kernel_side.py"], TRACES),
    "rmapcore/traces/strace": (["tests/traces/test_traces_strace.py", "tests/traces/test_traces_formats.py"], TRACES),
    "rmapcore/traces/symbols.py": (["tests/traces/test_traces_strace.py"], TRACES),
    "rmapcore/traces/unhandled.py": (["tests/traces/test_unhandled.py"], TRACES),
    "rmapcore/linux/": (["tests/linux/test_proc.py", "tests/house/test_syscalls.py", "tests/house/test_uapi.py"],
                        ["tests/traces", "tests/verify"]),
    "rmapcore/lab/": (["tests/lab/test_compare.py"], ["tests/lab", "tests/workloads"]),
    "rmapcore/cli.py": (["tests/lab/test_cli.py"], ["tests/lab"]),
    "rmapcore/schemes.py": (["tests/schemes/test_naming.py"], ["tests/schemes", "tests/lab"]),
    "rmapcore/studies/argument/": (["tests/studies/test_argument.py"], ["tests/studies/test_argument_2026.py"]),
    "rmapcore/studies/bench/": (["tests/studies/test_bench_tables.py"], ["tests/studies/test_bench.py"]),
    "rmapcore/studies/explain/": (["tests/lab/test_explain.py"], []),
    "rmapcore/studies/hunt/": (["tests/studies/test_hunt.py"], []),
    "rmapcore/studies/replaycheck/": (["tests/studies/test_replay_check.py", "tests/studies/test_state_check.py"], []),
    "rmapcore/studies/reproduce/": (["tests/studies/test_reproduce.py"], []),
    "rmapcore/workloads/": (["tests/workloads"], ["tests/studies/test_reproduce.py", "tests/lab"]),
    "rmapcore/verify/": (["tests/verify/test_verify.py"], ["tests/verify"]),
    "rmapcore/contract.py": (["tests/schemes/test_contract.py"], []),
}
WIDE = ["tests/engine", "tests/machine", "tests/schemes", "tests/lowlevel", "tests/traces", "tests/lab", "tests/studies",
        "tests/verify", "tests/workloads"]


def sources(room, texts):
    """{path: text} of a room, of all texts."""
    return {path: text for path, text in texts.items() if path.startswith(ROOMS[room]) and not path.startswith(LEFT_OUT)}


def tests_of(path):
    """Lists of tests to be asked one after the other about a file."""
    first, more = TESTS[max((begin for begin in TESTS if path.startswith(begin)), key=len)]
    return [tests for tests in (first, more, WIDE) if tests]
