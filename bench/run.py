#!/usr/bin/env python3
"""Measures Stele beside nginx, Distribution and, where they are built, Distribution 3 and zot on this machine, in one run, and prints ratios.

  bench/run.py [--markdown FILE] [--only TEXT]... [--rounds N] [--seconds S] [--directory DIR]

QUICK=1 in the environment: fewer and shorter rounds, under five minutes. The systems alternate within each round; ratios are
medians over the rounds. Ends with 1 when more than two rows miss their bar, or one misses it by more than a quarter
(--lenient, and QUICK, whose samples are too short to judge by: never for that).
"""
import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cleanup
import growth
import network
import report
import tools
import workloads
from systems import ROOT, STELE, Distribution, Failure, GuardedStele, Nginx, Stele, built, make_certificate

TOLERATED_ROWS, TOLERATED_SHARE = 2, 0.25   # how many rows may miss their bar, and by how much of it


def quick():
    return os.environ.get("QUICK", "") not in ("", "0")


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table there")
    parser.add_argument("--only", action="append", metavar="TEXT", help="only workloads whose name contains it")
    parser.add_argument("--rounds", type=int, default=3 if quick() else 5, help="an odd number (default %(default)s)")
    parser.add_argument("--seconds", type=int, default=1 if quick() else 2, help="per sample (default %(default)s)")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"),
                        help="where the data goes; on a disk, 60 GB free, QUICK 15 (default %(default)s)")
    parser.add_argument("--lenient", action="store_true", help="end with 0 although a bar is missed")
    chosen = parser.parse_args()
    if chosen.rounds % 2 == 0:
        parser.error("--rounds must be odd, so that there is a median")
    return chosen


def wanted(name, chosen):
    return not chosen.only or any(text.lower() in name.lower() for text in chosen.only)


def build():
    if not STELE.exists():
        raise Failure(f"{STELE.relative_to(ROOT)} is not there; run 'make build'")
    done = subprocess.run(["cmake", "--build", ROOT / "build/release", "--target", "stele_load", "stele_ceiling"], capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"the programs of the bench do not build:\n{done.stdout[-3000:]}")


def measure(workload, systems, rounds, seconds):
    print(f"{workload.name}: ", end="", flush=True)
    contenders = list(workload.contenders.items())
    for number in range(rounds * workload.repeat):
        # Nobody always goes first.
        shift = number % len(contenders)
        for name, take in contenders[shift:] + contenders[:shift]:
            if workload.writes:
                os.sync()  # no run pays for the writeback of the one before
            system = systems.get(name)
            before = system.cpu_seconds() if system else 0
            sample = take()
            # Reading back belongs to no push, hence not for writes.
            if system and sample.requests and not workload.writes:
                sample.cpu = (system.cpu_seconds() - before) * 1e6 / (sample.requests * seconds)
            workload.samples.setdefault(name, []).append(sample)
        print(".", end="", flush=True)
    print(" " + ", ".join(f"{report.ratio(workload, bar.against):.3g} × {bar.against}" for bar in workload.bars), flush=True)


def run(chosen, directory, stack):
    certificate = make_certificate(directory)
    content = workloads.Content()
    print("starting Stele and its peers", flush=True)
    # The twin that speaks TLS gets its content over a plain connection first.
    with Stele(directory / "stele-tls") as twin:
        for size in (workloads.MIB, 100 * workloads.MIB):
            content.push_blob(twin, size)
    stele_tls = stack.enter_context(Stele(directory / "stele-tls", certificate))
    stele_tls.tls_address = stele_tls.address
    stele = stack.enter_context(Stele(directory / "stele"))
    with Stele(directory / "stele-guarded") as twin:     # who pushes before everybody logs in
        content.push_tag(twin)
    guarded = stack.enter_context(GuardedStele(directory / "stele-guarded"))
    uncounted = stack.enter_context(Stele(directory / "stele-uncounted", policy=workloads.NOBODY_COUNTS))
    content.push_tag(uncounted)
    ruled = stack.enter_context(Stele(directory / "stele-rules", policy=tools.policy_text(workloads.RULES)))
    nginx = stack.enter_context(Nginx(directory / "nginx", certificate))
    distribution = stack.enter_context(Distribution(directory / "distribution"))
    others = [stack.enter_context(peer(directory / peer.name.replace(" ", "-"))) for peer in built()]
    memories = [workloads.Memory("at rest, just started", stele.memory(), 32 * workloads.MIB)]
    content.fill_nginx(nginx)
    content.fill_registry(stele)
    for registry in (distribution, *others):
        content.fill_registry(registry)
    os.sync()

    pushes = 1 if chosen.seconds == 1 else 5
    repeat = 1 if chosen.seconds == 1 else 3
    done = []
    for workload in [*workloads.reading(content, stele, stele_tls, nginx, distribution, others, chosen.seconds, repeat),
                     *workloads.writing(stele, ruled, distribution, others, directory, chosen.seconds, pushes, repeat)]:
        if wanted(workload.name, chosen):
            twin = stele_tls if "TLS" in workload.name else stele
            systems = {system.name: system for system in (twin, nginx, distribution, *others)}
            measure(workload, systems, chosen.rounds, chosen.seconds)
            done.append(workload)
    if wanted("manifest GET by tag with a token", chosen):
        shown = workloads.with_a_token(content, stele, guarded, chosen.seconds, repeat)
        measure(shown, {"Stele": guarded, "anonymous": stele}, chosen.rounds, chosen.seconds)
        done.append(shown)
    counted = workloads.counted(content, stele, uncounted, chosen.seconds, repeat)
    if wanted(counted.name, chosen):
        measure(counted, {"Stele": stele, "not counted": uncounted}, chosen.rounds, chosen.seconds)
        done.append(counted)
    beside = workloads.beside_pushes(content, stele, nginx, chosen.seconds)
    if wanted(beside.name, chosen):
        measure(beside, {}, chosen.rounds, chosen.seconds)
        done.append(beside)
    if wanted("memory", chosen):
        print("memory with 64 transfers in flight", flush=True)
        memories += workloads.memory_in_flight(content, stele, 2 * chosen.seconds)
        memories.append(workloads.memory_after_requests(content, stele, 200_000 if quick() else 1_000_000))
    costs = []
    if wanted("growth", chosen):
        sizes = growth.QUICK_SIZES if quick() else growth.SIZES
        grown = growth.filled(stack, directory, sizes)
        costs = growth.measure(grown, chosen.rounds, 1)
        largest = max(sizes)
        workload = workloads.random_tags(content, grown[largest], largest, nginx, chosen.seconds)
        measure(workload, {"Stele": grown[largest], "nginx": nginx}, chosen.rounds, chosen.seconds)
        done.append(workload)
    cleaned = cleanup.measure(directory, cleanup.QUICK if quick() else cleanup.FULL) if wanted("clean-up", chosen) else None
    return done, memories, costs, cleaned


def main():
    chosen = options()
    network.enter()
    control = network.prepare()
    started = time.monotonic()
    build()
    # The order of the contents matters: the systems are stopped before their directory is removed.
    with tempfile.TemporaryDirectory(prefix="stele-bench-", dir=chosen.directory) as directory, contextlib.ExitStack() as stack:
        facts = report.machine(directory) | {"congestion control": control} | report.versions()
        before = report.processor_times()
        done, memories, costs, cleaned = run(chosen, Path(directory), stack)
        facts["taken by the host"] = report.stolen(before) + " of the processors' time"
    cost = tools.decision_cost(workloads.RULES)
    facts["deciding a tag"] = f"{cost / 1000:.2f} µs with {workloads.RULES:,} rules (bar: < 5 µs)"
    verdicts = report.Verdicts()
    table = report.rows(verdicts, done, memories)
    verdicts.most("deciding a tag", cost / 1000, 5, "< 5 µs", f"{cost / 1000:.2f} µs")
    grown = report.growth_rows(verdicts, costs)
    clean = cleanup.rows(verdicts, cleaned)
    short = verdicts.short
    print(f"\n{report.as_text([report.HEADER, *table])}\n\n{report.as_text(grown)}\n\n{report.as_text(clean)}\n")
    for name, value in facts.items():
        print(f"{name}: {value}")
    print(f"{chosen.rounds} rounds, {chosen.seconds} s per sample, {time.monotonic() - started:.0f} s in all")
    if chosen.markdown:
        command = ("QUICK=1 " if quick() else "") + " ".join(["bench/run.py", *sys.argv[1:]])
        facts["rounds"] = f"{chosen.rounds}, {chosen.seconds} s per sample"
        chosen.markdown.write_text(report.as_markdown(table, grown, clean, short, facts, command))
        print(f"written to {chosen.markdown}")
    for row in short:
        print(f"SHORT: {row.text}")
    failed = len(short) > TOLERATED_ROWS or any(row.by > TOLERATED_SHARE for row in short)
    return 1 if failed and not chosen.lenient and not quick() else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        sys.exit(130)
