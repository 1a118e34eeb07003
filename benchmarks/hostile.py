"""What hostile pictures cost the function and the endpoint: `python -m benchmarks.hostile`.

Every case of benchmarks/hostile_pictures goes through Serialize Image Data's handler and through the endpoint's
inference.py, each time in a process of its own, so that time and memory belong to one case.
"""

import argparse
import platform
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table
from samcli.yamlhelper import yaml_parse

from benchmarks.hostile_pictures import apart
from benchmarks.hostile_pictures.corpus import cases, of_the_endpoint, of_the_function
from common import settings
from common.command import run_command
from common.reports import write_json
from common.waiting import make_console

REPORT = settings.REPORTS_FOLDER / "hostile" / "summary.json"
TEMPLATE = apart.ROOT / "template.yaml"


def memory_settings() -> dict[str, int]:
    """Return the MiB of memory that template.yaml gives each function."""
    resources = yaml_parse(TEMPLATE.read_text())["Resources"]
    return {
        name: int(resource["Properties"]["MemorySize"])
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def figures(told: list[apart.Told]) -> dict[str, Any]:
    """Return the worst case by time and by memory, and how many of each outcome there were."""
    slowest = max(told, key=lambda t: t.seconds)
    largest = max(told, key=lambda t: t.peak_mib)
    return {
        "outcomes": dict(sorted(Counter(t.outcome for t in told).items())),
        "worst_seconds": round(slowest.seconds, 3),
        "slowest_case": slowest.name,
        "worst_peak_mib": round(largest.peak_mib),
        "worst_added_mib": round(largest.added_mib),
        "largest_case": largest.name,
    }


def measure(console: Console) -> dict[str, Any]:
    """Run every case through both and return the report."""
    corpus = cases()
    wrong, found = [], {}
    for role in ("function", "endpoint"):
        runs = apart.run(role, corpus)
        told = list(track(runs, role, len(corpus), console=console, transient=True))
        for case, ended in zip(corpus, told, strict=True):
            stated = {of_the_function(case)} if role == "function" else of_the_endpoint(case)
            if ended.outcome not in stated:
                wrong.append(f"{case.name}: the {role} said {ended.outcome}, not {sorted(stated)}")
        found[role] = figures(told)
    return {
        "cases": len(corpus),
        "as_stated": len(corpus) - len({line.partition(":")[0] for line in wrong}),
        "stated": dict(sorted(Counter(case.outcome for case in corpus).items())),
        "not_as_stated": wrong,
        "function_memory_size_mib": memory_settings()["SerializeImageDataFunction"],
        **found,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, write the report; 1 if a case did not end as stated."""
    return run_command("hostile", lambda: run(parse_arguments(argv), make_console()), "no report was written")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile",
        description="Give every hostile picture to the function and to the endpoint's program; takes a minute.",
    )
    parser.add_argument(
        "--report", type=Path, default=REPORT, metavar="FILE", help=f"where the figures go, as JSON ({REPORT})"
    )
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Measure, print a table and write the report; return the exit status."""
    report = measure(console)
    table = Table("", "worst time", "its case", "worst memory", "its case")
    for role in ("function", "endpoint"):
        row = report[role]
        table.add_row(
            role,
            f"{row['worst_seconds']:.2f} s",
            row["slowest_case"],
            f"{row['worst_peak_mib']} MiB",
            row["largest_case"],
        )
    console.print(table)
    console.print(
        f"{report['as_stated']} of {report['cases']} cases ended as stated; "
        f"the function has {report['function_memory_size_mib']} MiB."
    )
    for line in report["not_as_stated"]:
        console.print(f"not as stated: {line}", highlight=False, markup=False)
    write_json(arguments.report, report)
    large = report["function"]["worst_peak_mib"] >= report["function_memory_size_mib"]
    return int(bool(report["not_as_stated"]) or large)


if __name__ == "__main__":
    sys.exit(main())
