"""rmapcore schemes and rmapcore workloads: what there is."""
import rmapcore
from rmapcore.parsing import json_option
from rmapcore.terminal import listing


def add(commands):
    """Adds both commands to the parser's."""
    for name, function, about in (("schemes", schemes, "the schemes there are"),
                                  ("workloads", workloads, "the workloads there are, with their parameters")):
        command = commands.add_parser(name, help=about)
        json_option(command)
        command.set_defaults(run=function, needs=("lab.grids",))


def schemes(options):
    """Lists the schemes; the exit status."""
    names = rmapcore.schemes()
    return listing(options, names, [f"{name:24}{about}" for name, about in names.items()])


def workloads(options):
    """Lists the workloads with their parameters; the exit status."""
    from rmapcore.lab.grids import grids

    known = rmapcore.workloads()
    lines = []
    for name, workload in {**known, **grids()}.items():
        lines.append(f"{name}: {workload['description']}")
        for key, parameter in workload["parameters"].items():
            default = f"{parameter['type']} ({parameter['default']})"
            lines.append(f"    {key:12}{default:38}{parameter['text']}")
    return listing(options, known, lines)
