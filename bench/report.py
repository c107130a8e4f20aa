"""The table of ratios, for the terminal and as Markdown."""
import os
import platform
import re
import statistics
import subprocess
import time
from pathlib import Path

from systems import ROOT, TOOLS, built
from workloads import CEILING

HEADER = ["workload", "Stele", "p50 / p99 / longest", "against", "reaches", "p50 / p99", "CPU", "ratio", "bar now", "bar later"]


def rate(workload, samples):
    if workload.unit == "p99":
        return duration(statistics.median(sample.p99 for sample in samples))
    value = statistics.median(workload.value(sample) for sample in samples)
    return f"{value:,.0f} {workload.unit}"


def duration(microseconds):
    if microseconds == 0:
        return "–"
    return f"{microseconds:.0f} µs" if microseconds < 1000 else f"{microseconds / 1000:.3g} ms" if microseconds < 1e6 \
        else f"{microseconds / 1e6:.3g} s"


def percentiles(samples, longest=False):
    parts = [statistics.median(sample.p50 for sample in samples), statistics.median(sample.p99 for sample in samples)]
    if not any(parts):
        return ""
    if longest and any(sample.longest for sample in samples):
        parts.append(max(sample.longest for sample in samples))
    return " / ".join(map(duration, parts))


def ratio(workload, against):
    """The median over the rounds of Stele's share in the same round: neighbours in time meet the same machine."""
    pairs = zip(workload.samples["Stele"], workload.samples[against])
    return statistics.median(workload.value(own) / workload.value(other) for own, other in pairs)


def cpu(own, other):
    """What one request costs each server: steadier than rates where other programs use the machine too."""
    costs = [statistics.median(sample.cpu for sample in samples) for samples in (own, other)]
    return " : ".join(map(duration, costs)) if all(costs) else ""


def verdict(met, text):
    return text + (" ok" if met else " SHORT")


def bar_cell(workload, share, against, limit):
    """Where the least that the job needs does not reach a bar, the bar is 0.9 × that."""
    if share < limit and CEILING in workload.samples:
        reachable = statistics.median(workload.value(ceiling) / workload.value(other)
                                      for ceiling, other in zip(workload.samples[CEILING], workload.samples[against]))
        if 0.9 * reachable < limit:
            return verdict(share >= 0.9 * reachable, f"≥ {limit:g} ×, ceiling {reachable:.3g} ×, 0.9 of it")
    return verdict(share >= limit, f"≥ {limit:.3g} ×")


def rows(workloads, memories):
    """Cells of the table, and the names of the rows that are short of today's bar."""
    table, short = [], []
    for workload in workloads:
        own = workload.samples["Stele"]
        first = [workload.name, rate(workload, own), percentiles(own, longest=True)]
        for bar in workload.bars:
            share = ratio(workload, bar.against)
            other = workload.samples[bar.against]
            bars = ["" if limit is None else bar_cell(workload, share, bar.against, limit) for limit in (bar.now, bar.later)]
            table.append([*first, bar.against, rate(workload, other), percentiles(other), cpu(own, other),
                          f"{share:.3g} ×", *bars])
            if bar.now is not None and share < bar.now:
                short.append(f"{workload.name}: {share:.3g} × {bar.against} instead of {bar.now:g} ×")
            first = ["", "", ""]
        if workload.longest:
            worst = max(sample.longest for sample in own) / 1e6
            least = max((sample.longest for sample in workload.samples.get(CEILING, [])), default=0) / 1e6
            bars = []
            for limit in workload.longest:
                if limit is None:
                    bars.append("")
                elif least > 0.9 * limit:
                    bars.append(verdict(worst < least / 0.9, f"< {limit * 1000:g} ms, or the ceiling's {least * 1000:.3g} ms : 0.9"))
                else:
                    bars.append(verdict(worst < limit, f"< {limit * 1000:g} ms"))
            table.append(["", "", "", "longest push", duration(worst * 1e6), duration(least * 1e6) if least else "", "", "", *bars])
    for memory in memories:
        bars = ["" if limit is None else verdict(memory.bytes < limit, f"< {limit / 1024**2:g} MB")
                for limit in (memory.now, memory.later)]
        table.append([f"memory, {memory.name}", f"{memory.bytes / 1024**2:.1f} MB", "", "", "", "", "", "", *bars])
        if memory.now is not None and memory.bytes >= memory.now:
            short.append(f"memory, {memory.name}: {memory.bytes / 1024**2:.1f} MB")
    return table, short


def growth_rows(costs):
    """The table of growth, header first."""
    if not costs:
        return []
    sizes = sorted(costs[0].samples)
    table = [["cost, with so many tags", *(f"{size:,}" for size in sizes), "largest : smallest", "bar later"]]
    for cost in costs:
        bar = ""
        if cost.bar is not None:
            bar = verdict(cost.growth() <= cost.bar, f"≤ {cost.bar:g} ×")
        elif cost.limit is not None:
            bar = verdict(cost.at(sizes[-1]) < cost.limit, f"< {duration(cost.limit)}")
        table.append([cost.name, *(duration(cost.at(size)) for size in sizes), f"{cost.growth():.3g} ×", bar])
    return table


def as_text(table):
    """Header first."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))] if table else []
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table)


def markdown_rows(table):
    """Header first."""
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in table]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    if lines:
        lines.insert(1, "|" + " --- |" * len(table[0]))
    return lines


def output(*command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()


def machine(directory):
    def first(path, pattern):
        found = re.search(pattern, Path(path).read_text(), re.M)
        return found.group(1).strip() if found else "unknown"

    memory = int(first("/proc/meminfo", r"^MemTotal:\s+(\d+)")) / 1024**2
    model = first("/proc/cpuinfo", r"^model name\s*:\s*(.*)$")
    file_system = output("findmnt", "-no", "FSTYPE,SOURCE", "-T", str(directory))
    release = first("/etc/os-release", r'^PRETTY_NAME="?([^"\n]*)')
    return {"machine": f"{os.cpu_count()} × {model}, {memory:.0f} GiB memory", "system": f"{release}, Linux {platform.release()}",
            "data on": " on ".join(file_system.split()), "load average before": f"{os.getloadavg()[0]:.1f}"}


def versions():
    changed = " with uncommitted changes" if output("git", "status", "--porcelain", "--untracked-files=no") else ""
    return {"Stele": output(ROOT / "build/release/stele", "--version") + ", commit " +
            output("git", "rev-parse", "--short=12", "HEAD") + changed,
            "nginx": output("/usr/sbin/nginx", "-v").removeprefix("nginx version: "),
            "Distribution": output("docker-registry", "--version").split()[-1],
            **{peer.name: (TOOLS / f"{peer.program.name}.version").read_text().strip().split("@")[-1] for peer in built()},
            "wrk": output("wrk", "-v").split("\n")[0].split("Copyright")[0].strip(),
            "OpenSSL": output("openssl", "version")}


def as_markdown(table, growth, short, facts, command):
    lines = ["# Benchmarks", "",
             f"Written by `{command}` on {time.strftime('%Y-%m-%d', time.gmtime())}. All systems ran on one machine at the same "
             "time, over loopback, and took turns; only the ratios mean something. A ratio is the median over the rounds of "
             "Stele's result divided by the other's of the same round; other figures are medians, the longest request is that of all rounds.",
             "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items()), "",
             *markdown_rows([HEADER, *table]), ""]
    if growth:
        lines += ["## Growth", "", "Medians of one request. Each size is a Stele of its own; they took turns.", "", *markdown_rows(growth), ""]
    lines += ["Short of today's bar:", "", *(f"- {text}" for text in short), ""] if short else []
    lines += ["## How", "",
              "- Small answers: `wrk -t1 -c16 --latency`. HEAD and blobs: `stele_load pull`, one thread with epoll, which discards "
              "bodies in the kernel. \"nginx\" of a manifest, a HEAD or a small blob is its GET of a file of 1 KB.",
              "- p99 beside pushes: the ratio is nginx's p99 : Stele's; the pushers are held to one core (`taskset`), the servers and `wrk` are not.",
              "- CPU: user and system time per request, Stele's : the other's.",
              "- Pushes: `stele_load push`, POST and PUT over one connection per client, every body unique and made before the "
              "clock starts, every blob and manifest read back and hashed afterwards (the others': a sample).",
              "- Built-in rules: a Stele without a policy file. The tags are full versions, immutable here and there.",
              "- \"SHA-256 or dd\": the slower of `openssl speed -elapsed -evp sha256 -bytes 16384` (one core) and "
              "`dd bs=1M conv=fdatasync` of the same size into a new file of the same file system.",
              "- Ceiling: a minimal program for the same job (`bench/ceiling/`): no registry, no record, no rule. Where it does not reach a "
              "bar, the bar is 0.9 of what it reaches.",
              "- nginx: 2 workers, `sendfile on`, `access_log off`. Distribution: file system, cache in memory, deletes on, log "
              "level error. zot: `commit: true`, no gc, log level error. Stele: as it comes, but without access log. It syncs before each 201.",
              "- Memory: the peak of the resident set (`VmHWM`), reset before each measurement.", ""]
    return "\n".join(lines)
