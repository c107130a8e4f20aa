#!/usr/bin/env python3
"""The Docker image of deploy/docker, built from the package on a clean Debian 12, and compose.yaml with it, as deploy/README.md says.

  image.py [--package DEB] [--root DIR]

No registry of others is asked: debootstrap makes what the Dockerfile begins with (or --root has it). dockerd builds in this machine's
network, for apt, and then runs in one of its own, in which port 443 is free. It needs root, as `make image-test` says.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from run import ROOT, sources

sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("docs", "protocol", "clients")]
from common import Authority   # noqa: E402
from daemon import Daemon   # noqa: E402
from pages import Workplace   # noqa: E402
from server import Failure   # noqa: E402
from wire import eventually   # noqa: E402

DOCKER = ROOT / "deploy/docker"
HERE = "localhost:443"      # in dockerd's own network
passed = failed = 0


def check(holds, what, detail=""):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    print(f"{'pass' if holds else 'FAIL'}  {what}" + (f": {detail}" if detail and not holds else ""), flush=True)


class Place(Workplace):
    """The folder with compose.yaml; commands in it speak to our dockerd."""

    def __init__(self, directory):
        super().__init__(directory, "/nonexistent", real=True)
        self.env |= {"DOCKER_HOST": f"unix://{self.directory}/d.sock", "COMPOSE_PROJECT_NAME": "stele"}
        self.compose = "docker compose" if not self("docker", "compose", "version").returncode else "docker-compose"

    def __call__(self, *command, **more):
        return subprocess.run(list(map(str, command)), env=self.env, cwd=self.checkout, capture_output=True, text=True, timeout=600, **more)

    def composed(self, *words):
        return self(*self.compose.split(), *words)

    def dockerd(self, *options, own_network=False):
        command = ["dockerd", "--data-root", self.directory / "data", "--exec-root", self.directory / "exec", "--host", self.env["DOCKER_HOST"],
                   "--pidfile", self.directory / "pid", "--storage-driver", "vfs", *options]
        if own_network:
            command = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]

        def ready():
            if self("docker", "version").returncode:
                raise Failure("dockerd does not answer")
        return Daemon(command, self.env, self.directory / "dockerd.log", ready)


def unmount(directory):
    """What dockerd leaves of its network, so that the folder can go."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], capture_output=True)


def build(place, options):
    """By the line at the head of the Dockerfile."""
    text = (DOCKER / "Dockerfile").read_text()
    [base], [line] = re.findall(r"^FROM (\S+)$", text, re.M), re.findall(r"^#   (docker build .*)$", text, re.M)
    root = options.root or place.directory / "root"
    if not options.root:
        made = place("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", root, sources())
        if made.returncode:
            sys.exit(f"image: debootstrap failed:\n{made.stdout[-2000:]}{made.stderr[-2000:]}")
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as tar:
        subprocess.run(["docker", "import", "-", base], stdin=tar.stdout, env=place.env, check=True, capture_output=True, timeout=600)
    (place.directory / "package").mkdir()
    shutil.copy2(options.package, place.directory / "package")
    words = line.replace("deploy/docker/Dockerfile", str(DOCKER / "Dockerfile")).replace("build/release/package", str(place.directory / "package")).split()
    built = place(*words[:2], "--network=host", *words[2:])
    check(built.returncode == 0, "the image is built", (built.stdout + built.stderr)[-1500:])
    user = place("docker", "run", "--rm", "--network=none", "--entrypoint=id", "stele").stdout
    [identity] = re.findall(r"id (\d+)", (DOCKER / "compose.yaml").read_text())
    check(user.startswith(f"uid={identity}(stele) ") and "root" not in user, "its user is the one that compose.yaml names", user)
    alone = place("docker", "run", "--rm", "--network=none", "stele")
    check(alone.returncode != 0 and "without TLS" in alone.stderr + alone.stdout and "tls.cert" in alone.stderr + alone.stdout, "without TLS it does not start, and says what to do", alone)
    return int(identity)


def compose_file(place, identity):
    """compose.yaml and what belongs beside it; then the first of the commands of deploy/README.md."""
    for name in ("compose.yaml", "policy.yaml"):
        shutil.copy2(DOCKER / name, place.checkout)
    (place.checkout / "tls").mkdir()
    Authority(place.checkout / "tls").issue("server", "localhost", 1)
    os.chown(place.checkout / "tls/server.key", identity, identity)
    valid = place.composed("config", "--quiet")
    check(valid.returncode == 0, "compose.yaml is valid", valid)
    return re.findall(r"^docker compose (.*)$", (ROOT / "deploy/README.md").read_text(), re.M)


def up(place, words):
    started = place.composed(*words.split())
    check(started.returncode == 0, f"docker compose {words}", started)
    eventually(lambda: place.composed("exec", "-T", "stele", "stele", "status", "--data", "/var/lib/stele").returncode == 0, "the start", timeout=60)


def refused(place, words, said, what):
    done = place(*words.split())
    check(done.returncode != 0 and said in done.stderr, what, done)


def use(place, start, *commands):
    up(place, start)
    state = json.loads(place("docker", "inspect", place.composed("ps", "-q", "stele").stdout.strip()).stdout)[0]
    check(state["HostConfig"]["ReadonlyRootfs"] and state["State"]["Running"], "its root cannot be written")
    rights = place.composed("exec", "-T", "stele", "grep", "-E", "^(CapEff|CapBnd|NoNewPrivs):", "/proc/1/status").stdout.split()
    check(rights == ["CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"], "it has no capabilities and gets none", rights)
    for repository in ("team/app", "public/app"):
        place("docker", "tag", "debian:12-slim", f"{HERE}/{repository}:1.0.0")
    place("docker", "tag", "stele", f"{HERE}/team/app:2.0.0")
    login = ["docker", "login", "--username", "ann", "--password-stdin", HERE]
    check(place(*login, input="correct horse").returncode != 0, "nobody is there yet")
    for line in commands:
        name = re.search(r"user add (\S+)", line)[1]
        place.typed(f"{place.compose} {line}", (f"New password of {name}: ", "correct horse"), ("The same again: ", "correct horse"))
    refused(place, f"docker push {HERE}/team/app:1.0.0", "denied", "a stranger pushes nothing")
    check(place(*login, input="wrong").returncode != 0, "a wrong password")
    check(place(*login, input="correct horse").returncode == 0, "a user logs in")
    pushed = place("docker", "push", f"{HERE}/team/app:1.0.0")
    check(pushed.returncode == 0, "and pushes", pushed)
    refused(place, f"docker push {HERE}/public/app:1.0.0", "access_rules", "not where the policy says no")
    place("docker", "tag", f"{HERE}/team/app:2.0.0", f"{HERE}/team/app:1.0.0")
    refused(place, f"docker push {HERE}/team/app:1.0.0", "1.0.0", "a release does not move")
    pull(place, "the user pulls")
    policy = place.checkout / "policy.yaml"     # written into, as deploy/README.md says: what is mounted is this file
    policy.write_text(policy.read_text() + '  - {name: released, who: ["user:ann"], repositories: ["public/**"], allow: [pull, push]}\n')
    eventually(lambda: place("docker", "push", f"{HERE}/public/app:1.0.0").returncode == 0, "the push that the changed policy allows", timeout=60)
    check(True, "a changed policy holds at once")


def pull(place, what):
    place("docker", "rmi", f"{HERE}/team/app:1.0.0")
    pulled = place("docker", "pull", f"{HERE}/team/app:1.0.0")
    same = {place("docker", "inspect", "--format", "{{.Id}}", name).stdout for name in (f"{HERE}/team/app:1.0.0", "debian:12-slim")}
    check(pulled.returncode == 0 and len(same) == 1, what, pulled)


def again(place, start):
    """A restart, and another container of the same volume."""
    identity = place.composed("ps", "-q", "stele").stdout.strip()
    place.composed("stop")
    ended = json.loads(place("docker", "inspect", identity).stdout)[0]["State"]["ExitCode"]
    check(ended == 0, "it stops in good order", ended)
    place.composed("down")
    up(place, start)
    check(place.composed("ps", "-q", "stele").stdout.strip() != identity, "another container")
    pull(place, "has what the one before was given, users too")
    place.composed("down", "--volumes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=None, metavar="DEB")
    parser.add_argument("--root", type=Path, default=None, metavar="DIR")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("image: it runs a dockerd of its own, which needs root: sudo make image-test")
    if not options.package:
        options.package = max((ROOT / "build/release/package").glob("stele_*.deb"), key=lambda path: path.stat().st_mtime)
    with tempfile.TemporaryDirectory(prefix="stele-image.", dir=os.environ.get("TMPDIR", "/var/tmp"), ignore_cleanup_errors=True) as directory:
        place = Place(directory)
        daemon = place.dockerd("--iptables=false", "--ip6tables=false", "--bridge=none")
        try:
            identity = build(place, options)
            daemon.stop()
            daemon = place.dockerd(own_network=True)
            start, *commands = compose_file(place, identity)
            use(place, start, *commands)
            again(place, start)
        finally:
            daemon.stop()
            unmount(directory)
    print(f"image: {passed} passed, {failed} failed")
    sys.exit(failed > 0 or not passed)


if __name__ == "__main__":
    main()
