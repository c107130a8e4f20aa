"""The programs that make the load, and the limits of the machine."""
import contextlib
import json
import mmap
import os
import re
import subprocess
import time
import urllib.request
from dataclasses import dataclass

from systems import ROOT, Failure

LOAD = ROOT / "build/release/bench/stele_load"
CEILING = ROOT / "build/release/bench/stele_ceiling"


@dataclass
class Sample:
    """One run: requests and bytes per second, latencies in microseconds."""

    requests: float = 0
    bytes: float = 0
    p50: float = 0
    p99: float = 0
    longest: float = 0
    cpu: float = 0  # the server's, microseconds per request


def run(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"})
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return done.stdout + done.stderr


UNITS = {"us": 1, "ms": 1e3, "s": 1e6, "m": 60e6}


def wrk(address, path, seconds, accept=None, clients=16, token=None):
    header = ["-H", f"Accept: {accept}"] if accept else []
    login = ["-H", f"Authorization: Bearer {token}"] if token else []
    text = run(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--latency", *header, *login, f"http://{address}{path}"])
    if "Non-2xx" in text or "Socket errors" in text:
        raise Failure(f"wrk got errors from {address}{path}:\n{text}")

    def latency(label):
        value, unit = re.search(rf"^\s+{label}\s+([\d.]+)(us|ms|s|m)\b", text, re.M).groups()
        return float(value) * UNITS[unit]

    return Sample(float(re.search(r"Requests/sec:\s+([\d.]+)", text).group(1)), 0, latency("50%"), latency("99%"))


def load(kind, address, **options):
    """stele_load's report as it is."""
    command = [LOAD, kind, "--target", address]
    for name, value in options.items():
        if value is True:
            command.append(f"--{name}")
        elif value is not None and value is not False:
            command += [f"--{name}", value]
    return json.loads(run(command))


@contextlib.contextmanager
def pushing(address, size, clients):
    """Unique blobs are pushed meanwhile, by a program that has one core; yields once the pushes go on."""
    command = ["taskset", "-c", "0", LOAD, "push", "--target", address, "--repository", "bench/beside", "--bytes", size, "--count", 100 * clients,
               "--clients", clients, "--verify", 1, "--announce"]
    pusher = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        if pusher.stdout.readline() != b"started\n":
            raise Failure("the pushers of the background did not start")
        time.sleep(0.5)
        before = stored_bytes(address)
        yield
        if pusher.poll() is not None:
            raise Failure("the pushers of the background ended early")
        if stored_bytes(address) - before < size:
            raise Failure("the pushers of the background did not push")
    finally:
        pusher.kill()
        pusher.wait()


def stored_bytes(address):
    """What uploads have brought to a Stele since it started."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        return float(re.search(rb"^stele_uploads_received_bytes_total (\S+)", answer.read(), re.M).group(1))


def policy_text(rules):
    """A policy file of so many rules: those of decision_cost."""
    return run([LOAD, "rules", "--rules", rules])


def decision_cost(rules):
    """Nanoseconds to find the rule of a tag: the dearest of the first rule, a middle one, the last and none."""
    report = json.loads(run([LOAD, "decide", "--rules", rules]))
    return max(report[which] for which in ("first", "middle", "last", "none"))


def sample(report):
    seconds = report["seconds"]
    return Sample(report["count"] / seconds, report["bytes"] / seconds, report["p50_us"], report["p99_us"], report["max_us"])


def sha256_rate(seconds=1):
    """Bytes per second of one core, blocks of 16 KiB, by the wall clock: its default, CPU time, would not share a busy machine."""
    text = run(["openssl", "speed", "-elapsed", "-seconds", seconds, "-bytes", 16384, "-evp", "sha256"])
    return float(re.search(r"^sha256\s+([\d.]+)k", text, re.M | re.I).group(1)) * 1000


def back_memory(size):
    """As stele_load does before its clock starts: see bench/load/push.cpp."""
    mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0x8000)).close()


def ceiling(job, directory, **options):
    """What a minimal program does for the same job (bench/ceiling/)."""
    directory.mkdir(parents=True)
    back_memory(max(options["bytes"], 64 * 1024 * 1024))
    command = [CEILING, job, "--directory", directory]
    for name, value in options.items():
        command += [f"--{name}", value]
    return sample(json.loads(run(command)))


def synced_dd_rate(file, mebibytes):
    """Bytes per second of a new file written and synced, data from memory; dd's own clock, which leaves out its start. The
    file stays, as what is pushed stays: a file that takes the pages of the one just removed is written several times faster
    in a virtual machine."""
    back_memory(mebibytes * 1024 * 1024)
    text = run(["dd", "if=/dev/zero", f"of={file}", "bs=1M", f"count={mebibytes}", "conv=fdatasync"])
    return mebibytes * 1024 * 1024 / float(re.search(r"copied, ([\d.]+) s", text).group(1))
