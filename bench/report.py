"""The table of ratios, for the terminal and as Markdown."""
import os
import platform
import re
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from systems import ROOT, TOOLS, built
from workloads import CEILING

HEADER = ["workload", "Stele", "p50 / p99 / longest", "against", "reaches", "p50 / p99", "CPU", "ratio", "bar"]
TRIED = Path(__file__).with_name("tried.md")


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


@dataclass
class Short:
    """A row that misses its bar. `by`: the missing share of the bar."""

    text: str
    by: float


class Verdicts:
    """The cells of the column of bars, and which rows are short."""

    def __init__(self):
        self.short = []

    def least(self, name, share, bar, text):
        return self._cell(name, 1 - share / bar, text, f"{share:.3g} ×")

    def most(self, name, value, limit, text, shown):
        return self._cell(name, value / limit - 1, text, shown)

    def _cell(self, name, by, text, shown):
        if by <= 0:
            return f"{text} ok"
        self.short.append(Short(f"{name}: {shown} instead of {text}, {by:.1%} short", by))
        return f"{text} SHORT"


def ratio_cell(verdicts, workload, bar, share):
    """Where the least that the job needs does not reach a bar, the bar is 0.9 × that."""
    name, least, text = f"{workload.name}, against {bar.against}", bar.least, f"≥ {bar.least:.3g} ×"
    if share < least and CEILING in workload.samples:
        reachable = statistics.median(workload.value(ceiling) / workload.value(other)
                                      for ceiling, other in zip(workload.samples[CEILING], workload.samples[bar.against]))
        if 0.9 * reachable < least:
            least, text = 0.9 * reachable, f"{text}, ceiling {reachable:.3g} ×, 0.9 of it"
    return verdicts.least(name, share, least, text)


def longest_row(verdicts, workload):
    worst = max(sample.longest for sample in workload.samples["Stele"])
    least = max((sample.longest for sample in workload.samples.get(CEILING, [])), default=0)
    limit, text = workload.longest * 1e6, f"< {workload.longest * 1000:g} ms"
    if least > 0.9 * limit:
        limit, text = least / 0.9, f"{text}, or the ceiling's {duration(least)} : 0.9"
    cell = verdicts.most(f"{workload.name}, longest push", worst, limit, text, duration(worst))
    return ["", "", "", "longest push", duration(worst), duration(least) if least else "", "", "", cell]


def rows(verdicts, workloads, memories):
    table = []
    for workload in workloads:
        own = workload.samples["Stele"]
        first = [workload.name, rate(workload, own), percentiles(own, longest=True)]
        for bar in workload.bars:
            share = ratio(workload, bar.against)
            other = workload.samples[bar.against]
            cell = "" if bar.least is None else ratio_cell(verdicts, workload, bar, share)
            table.append([*first, bar.against, rate(workload, other), percentiles(other), cpu(own, other), f"{share:.3g} ×", cell])
            first = ["", "", ""]
        if workload.longest:
            table.append(longest_row(verdicts, workload))
    for memory in memories:
        shown = f"{memory.bytes / 1024**2:.1f} MB"
        cell = verdicts.most(f"memory, {memory.name}", memory.bytes, memory.limit, f"< {memory.limit / 1024**2:g} MB", shown)
        table.append([f"memory, {memory.name}", shown, "", "", "", "", "", "", cell])
    return table


def growth_rows(verdicts, costs):
    """The table of growth, header first."""
    if not costs:
        return []
    sizes = sorted(costs[0].samples)
    table = [["cost, with so many tags", *(f"{size:,}" for size in sizes), "largest : smallest", "bar"]]
    for cost in costs:
        bar = ""
        if cost.bar is not None:
            bar = verdicts.most(f"{cost.name}, largest : smallest", cost.growth(), cost.bar, f"≤ {cost.bar:g} ×", f"{cost.growth():.3g} ×")
        elif cost.limit is not None:
            largest = cost.at(sizes[-1])
            bar = verdicts.most(cost.name, largest, cost.limit, f"< {duration(cost.limit)}", duration(largest))
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


def processor_times():
    return [int(number) for number in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]


def stolen(before):
    """The share of all processor time since `before` in which the host ran something else."""
    spent = [now - then for now, then in zip(processor_times(), before)]
    return f"{spent[7] / max(1, sum(spent)):.1%}"


def versions():
    changed = " with uncommitted changes" if output("git", "status", "--porcelain", "--untracked-files=no") else ""
    return {"Stele": output(ROOT / "build/release/stele", "--version") + ", commit " +
            output("git", "rev-parse", "--short=12", "HEAD") + changed,
            "nginx": output("/usr/sbin/nginx", "-v").removeprefix("nginx version: "),
            "Distribution": output("docker-registry", "--version").split()[-1],
            **{peer.name: (TOOLS / f"{peer.program.name}.version").read_text().strip().split("@")[-1] for peer in built()},
            "wrk": output("wrk", "-v").split("\n")[0].split("Copyright")[0].strip(),
            "OpenSSL": output("openssl", "version")}


def as_markdown(table, growth, clean, short, facts, command):
    lines = ["# Benchmarks", "",
             f"Written by `{command}` on {time.strftime('%Y-%m-%d', time.gmtime())}. All systems ran on one machine at the same "
             "time, over loopback, and took turns; only the ratios mean something. A ratio is the median over the rounds of "
             "Stele's result divided by the other's of the same round; other figures are medians, the longest request is that of all rounds.",
             "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in facts.items()), "",
             *markdown_rows([HEADER, *table]), ""]
    if growth:
        lines += ["## Growth", "", "Medians of one request. Each size is a Stele of its own; they took turns.", "", *markdown_rows(growth), ""]
    if clean:
        lines += ["## Cleaning up", "",
                  "A repository of manifests that stay and others that go by a rule. Beside: clients push and pull while the others are judged, "
                  "moved to the trash and erased. Costs are the server's own processor time for each manifest, without anybody else; judging "
                  "looks at all that is there, removing only at what goes.", "", *markdown_rows(clean), ""]
    lines += ["## Short of the bar", "", *(f"- {row.text}" for row in short), ""] if short else []
    lines += [TRIED.read_text()]
    lines += ["## How", "",
              "- Small answers: `wrk -t1 -c16 --latency`. HEAD and blobs: `stele_load pull`, one thread with epoll, which discards "
              "bodies in the kernel. \"nginx\" of a manifest, a HEAD or a small blob is its GET of a file of 1 KB.",
              "- p99 beside pushes: the ratio is nginx's p99 : Stele's; each sample is the median of the p99 of single seconds; the pushers are held to one core (`taskset`), the servers and `wrk` are not.",
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
