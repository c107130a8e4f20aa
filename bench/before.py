#!/usr/bin/env python3
"""This build beside an earlier one, row by row, in one run: what a piece of work has cost.

  bench/before.py BINARY [--only TEXT]... [--rounds N] [--seconds S] [--directory DIR] [--markdown FILE]

BINARY is the other's `stele`, as `make build` leaves it in a worktree of that commit. The rows are those of bench/run.py that
need no peer; both alternate within each round, and a row is the median over the rounds of their ratio. Ends with 1 when a row
is slower by more than 5 %, with 2 when something failed.
"""
import argparse
import contextlib
import os
import sys
import tempfile
from pathlib import Path

import network
import report
import tools
import workloads
from run import build, measure, wanted
from systems import Failure, GuardedStele, Stele, make_certificate

BEFORE, LEAST = "before", 0.95


def earlier(kind, binary):
    """The same system with the other program."""
    return type(f"Earlier{kind.__name__}", (kind,), {"name": BEFORE, "command": lambda self: [binary, *kind.command(self)[1:]]})


class Side:
    """One program, with what the rows need of it."""

    def __init__(self, make, directory, certificate, content, stack):
        with make(Stele)(directory / "tls") as twin:
            for size in (workloads.MIB, 100 * workloads.MIB):
                content.push_blob(twin, size)
        self.tls = stack.enter_context(make(Stele)(directory / "tls", certificate))
        self.tls.tls_address = self.tls.address
        with make(Stele)(directory / "guarded") as twin:
            content.push_tag(twin)
        try:
            self.guarded = stack.enter_context(make(GuardedStele)(directory / "guarded"))
        except Failure as failure:
            if 'unknown key "auth"' not in str(failure):
                raise
            self.guarded = None     # of before there were logins
        self.ruled = stack.enter_context(make(Stele)(directory / "rules", policy=tools.policy_text(workloads.RULES)))
        self.plain = stack.enter_context(make(Stele)(directory / "plain"))
        self.at_rest = self.plain.memory()
        content.fill_registry(self.plain)
        self.directory = directory / "work"
        self.directory.mkdir()

    def rows(self, content, seconds):
        """Of each the first contender is this side's; it stands for the peers that the rows would have, too."""
        yield from workloads.reading(content, self.plain, self.tls, self.plain, self.plain, (), seconds, 3)
        yield from workloads.writing(self.plain, self.ruled, self.plain, (), self.directory, seconds, 5, 3)
        if self.guarded:
            yield workloads.with_a_token(content, self.plain, self.guarded, seconds, 3)


def compare(chosen, directory, stack):
    certificate = make_certificate(directory)
    content = workloads.Content()
    binary = chosen.binary.resolve()
    sides = []
    for name, make in ((BEFORE, lambda kind: earlier(kind, binary)), ("now", lambda kind: kind)):
        (directory / name).mkdir()
        sides.append(Side(make, directory / name, certificate, content, stack))
    os.sync()
    before, now = sides
    if not before.guarded:
        print("the earlier build knows no logins: no row \"with a token\"")
    done = []
    for theirs, ours in zip(before.rows(content, chosen.seconds), now.rows(content, chosen.seconds)):
        if not wanted(ours.name, chosen):
            continue
        row = workloads.Workload(ours.name, ours.unit, {"Stele": next(iter(ours.contenders.values())), BEFORE: next(iter(theirs.contenders.values()))},
                                 [workloads.Bar(BEFORE, LEAST)], writes=ours.writes, repeat=ours.repeat)
        measure(row, {}, chosen.rounds, chosen.seconds)
        done.append(row)
    return done, before.at_rest, now.at_rest


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("binary", type=Path)
    parser.add_argument("--only", action="append", metavar="TEXT", help="only rows whose name contains it")
    parser.add_argument("--rounds", type=int, default=5, help="an odd number (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=2, help="per sample (default %(default)s)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="where the data goes; on a disk, 60 GB free (default %(default)s)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table there")
    chosen = parser.parse_args()
    if not chosen.binary.exists():
        raise Failure(f"{chosen.binary} is not there; build it in a worktree of its commit")
    network.enter()
    print(network.prepare())
    build()
    with tempfile.TemporaryDirectory(prefix="stele-before-", dir=chosen.directory) as directory, contextlib.ExitStack() as stack:
        facts = report.machine(directory) | {"now": report.versions()["Stele"], BEFORE: report.output(chosen.binary, "--version")}
        rows, memory_before, memory_now = compare(chosen, Path(directory), stack)
    table, slower = [["row", "of before", "bar"]], 0
    for row in rows:
        share = report.ratio(row, BEFORE)
        slower += share < LEAST
        table.append([row.name, f"{share:.3f} ×", f"≥ {LEAST} × " + ("ok" if share >= LEAST else "SLOWER")])
    table.append(["memory at rest, just started", f"{memory_now / workloads.MIB:.1f} MiB, {memory_before / workloads.MIB:.1f} before", ""])
    print(f"\n{report.as_text(table)}\n")
    if chosen.markdown:
        lines = ["# Beside an earlier build", "", "Written by `bench/before.py`: the median over the rounds of this build's result divided by the other's of the same round.", "",
                 "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items()), "", *report.markdown_rows(table), ""]
        chosen.markdown.write_text("\n".join(lines))
    return 1 if slower else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"before: {failure}", file=sys.stderr)
        sys.exit(2)
