"""Measure what hostile pictures cost the function and the endpoint: `python -m benchmarks.hostile`.

Serialize Image Data's handler and the endpoint's inference.py get every case of benchmarks/hostile_pictures, each time
in a process of its own, so that time and memory belong to one case.
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

from benchmarks.hostile_pictures import isolation
from benchmarks.hostile_pictures.corpus import cases, endpoint_outcomes, function_outcome
from benchmarks.runs import machine
from common import settings
from common.command import run_command
from common.reports import write_json
from common.waiting import make_console

REPORT = settings.REPORTS_FOLDER / "hostile" / "summary.json"


def memory_settings() -> dict[str, int]:
    """Return the MiB of memory that template.yaml gives each function."""
    resources = yaml_parse((settings.ROOT / "template.yaml").read_text())["Resources"]
    return {
        name: int(resource["Properties"]["MemorySize"])
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def figures(results: list[isolation.CaseResult]) -> dict[str, Any]:
    """Return the worst case by time and by memory, and the count of each outcome."""
    slowest = max(results, key=lambda result: result.seconds)
    largest = max(results, key=lambda result: result.peak_mib)
    return {
        "outcomes": dict(sorted(Counter(result.outcome for result in results).items())),
        "worst_seconds": round(slowest.seconds, 3),
        "slowest_case": slowest.name,
        "worst_peak_mib": round(largest.peak_mib),
        "worst_added_mib": round(largest.added_mib),
        "largest_case": largest.name,
    }


def measure(console: Console) -> dict[str, Any]:
    """Run every case through both and return the report."""
    corpus = cases()
    unexpected: list[str] = []
    unexpected_names, found = set(), {}
    for role in ("function", "endpoint"):
        runs = isolation.run(role, corpus)
        results = list(track(runs, role, len(corpus), console=console, transient=True))
        for case, result in zip(corpus, results, strict=True):
            stated = {function_outcome(case)} if role == "function" else endpoint_outcomes(case)
            if result.outcome not in stated:
                unexpected.append(f"{case.name}: the {role} said {result.outcome}, not {sorted(stated)}")
                unexpected_names.add(case.name)
        found[role] = figures(results)
    return {
        "cases": len(corpus),
        "as_stated": len(corpus) - len(unexpected_names),
        "stated": dict(sorted(Counter(case.outcome for case in corpus).items())),
        "not_as_stated": unexpected,
        "function_memory_size_mib": memory_settings()["SerializeImageDataFunction"],
        **found,
        "machine": f"{machine()}, Python {platform.python_version()}",
    }


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, write the report; return 1 if a case did not end as stated."""
    return run_command("hostile", lambda: run(parse_arguments(argv), make_console()), "no report was written")


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hostile",
        description="Give every hostile picture to the function and to the endpoint's program; takes a minute.",
    )
    report_help = "the figures, as JSON (default: %(default)s)"
    parser.add_argument("--report", type=Path, default=REPORT, metavar="FILE", help=report_help)
    return parser.parse_args(argv)


def run(arguments: argparse.Namespace, console: Console) -> int:
    """Measure, print a table and write the report; return the exit status."""
    report = measure(console)
    table = Table("", "worst time", "its case", "worst memory", "its case")
    for role in ("function", "endpoint"):
        row = report[role]
        seconds, memory = f"{row['worst_seconds']:.2f} s", f"{row['worst_peak_mib']} MiB"
        table.add_row(role, seconds, row["slowest_case"], memory, row["largest_case"])
    console.print(table)
    console.print(
        f"{report['as_stated']} of {report['cases']} cases ended as stated; "
        f"the function has {report['function_memory_size_mib']} MiB."
    )
    for line in report["not_as_stated"]:
        console.print(f"not as stated: {line}", highlight=False, markup=False)
    write_json(arguments.report, report)
    too_large = report["function"]["worst_peak_mib"] >= report["function_memory_size_mib"]
    return int(bool(report["not_as_stated"]) or too_large)


if __name__ == "__main__":
    sys.exit(main())
