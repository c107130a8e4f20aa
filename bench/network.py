"""The network of the run: loopback in a namespace of its own, where every connection uses the same congestion control."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

CONTROL = "cubic"  # Linux's default
MARK = "STELE_BENCH_NAMESPACE"


def machine_default():
    return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()


def enter():
    """Starts this program again in its own namespace, where that is possible. BBR would pace loopback with timers, and a
    Stele that listens there opts out of that (http/server.cpp) while the others cannot: the ratios would tell of pacing."""
    if MARK in os.environ or os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        return
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
        return
    os.environ[MARK] = machine_default()
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])


def prepare():
    """Says what the connections use."""
    if MARK not in os.environ:
        return f"{machine_default()}, the machine's own; Stele's listener takes reno on loopback"
    route = ["ip", "route", "replace", "local", "127.0.0.0/8", "dev", "lo", "src", "127.0.0.1", "table", "local"]
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run([*route, "congctl", CONTROL], check=True)
    subprocess.run(["ip", "route", "delete", "local", "127.0.0.1", "table", "local"], capture_output=True)
    return f"{CONTROL} for everybody, in a network namespace (this machine's default: {os.environ[MARK]})"
