"""What docs/mirror.md shows: each of its configurations is one, each of its commands does what it says there."""
import json
import os
import re
import subprocess
from pathlib import Path

from pins import updates
from registry import Failure
from world import Image, World, eventually

PAGE = Path(__file__).resolve().parents[2] / "docs/mirror.md"
INDEX = "application/vnd.oci.image.index.v1+json"


def blocks(kind):
    found = re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(), re.S | re.M)
    if not found:
        raise Failure(f"{PAGE.name} has no block of {kind}")
    return found


def every_configuration_is_one(checks, binary, directory):
    for number, text in enumerate(blocks("yaml")):
        file = directory / f"page-{number}.yaml"
        file.write_text(text)
        if text.startswith("version: 1"):
            done = subprocess.run([binary, "policy", "check", file], capture_output=True, text=True)
        elif text.startswith("mirrors:"):
            done = subprocess.run([binary, "config", "check", "--config", file], capture_output=True, text=True)
        else:
            raise Failure(f"neither a configuration nor a policy:\n{text}")
        checks(f"block {number + 1} of yaml", done.returncode == 0, done)


def index(world, label, platforms, base):
    """docker.io/library/demo:1 for some platforms, each built on the base."""
    entries = []
    for platform in platforms:
        one = Image(world.source, "library/demo", f"{platform}-{label}", label=label, base=base)
        entries.append({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": one.digest, "size": len(one.manifest),
                        "platform": {"os": "linux", "architecture": platform}})
    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    answer = world.source.request("PUT", "/v2/library/demo/manifests/1", text, {"Content-Type": INDEX})
    if answer.status != 201:
        raise Failure(f"the index could not be pushed: {answer}")
    return entries[0]["digest"]


def shape(line):
    """A line of `stele mirror updates` without its digests, bytes and numbers of layers."""
    line = re.sub(r"sha256:[0-9a-f]+…?", "DIGEST", line)
    return re.sub(r"\d+ (layers added|removed)", r"N \1", re.sub(r"[\d.]+ ([KMGT]iB|bytes?)\b", "BYTES", line))


def every_command_does_what_it_says(checks, binary, directory):
    shell = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("stele ")]
    checks("commands of the page", len(shell) == 6, shell)
    with World(binary, directory, "page", tag_ttl="1s", more="quarantine: 7d") as world:
        python, nginx = world.image("library/python", "3.14-slim"), world.image("library/nginx", "latest")
        amd64 = index(world, "old", ("amd64", "arm64"), "debian:12")
        world.manifest("1")
        world.manifest(amd64)
        index(world, "new", ("amd64", "arm64", "riscv64"), "debian:13")
        eventually(lambda: updates(world)["updates"], "the update is seen")
        upstream = updates(world)["updates"][0]["upstream"]
        listed = re.search(r"^```\n(# one image a line\n.*?)^```", PAGE.read_text(), re.S | re.M)[1]
        (world.mirror.directory / "images.txt").write_text(listed.replace("nginx@sha256:…", f"nginx@{nginx.digest}"))
        said = {}
        for line in shell:
            done = subprocess.run(["sh", "-c", line.replace("sha256:…", upstream)], cwd=world.mirror.directory, capture_output=True, text=True,
                                  env=os.environ | {"PATH": f"{binary.parent}:{os.environ['PATH']}"}, timeout=60)
            checks(line, done.returncode == 0, done)
            said[line.split("#")[0].strip()] = done.stdout
        shown = next(block for block in blocks("text") if block.startswith("TAG "))
        table = said["stele mirror updates"]
        checks("updates: the page's columns", table.split("\n")[0].split() == shown.split("\n")[0].split(), table)
        row = table.split("\n")[1].split()
        checks("updates: how old it is, and what is left of seven days", row[:2] == ["docker.io/library/demo:1", "quarantined"] and
               re.fullmatch(r"\d+s", row[4]) and row[5] in ("6d", "7d"), row)
        shapes = {shape(line) for line in table.splitlines()}
        for line in shown.splitlines()[2:]:
            checks(f"updates: {line.strip()}", shape(line) in shapes, (shape(line), table))
        checks("approved", world.manifest("1").headers["Docker-Content-Digest"] == upstream, said)
        world.hub.stop()
        checks("warm: both are here, upstream stopped", world.pull(python, "3.14-slim", "docker.io/library/python") == "" and
               world.pull(nginx, nginx.digest, "docker.io/library/nginx") == "")
        checks("promoted", world.get("/v2/base/python/manifests/3.14-slim").body == python.manifest)
        checks("status", re.search(r"^docker\.io ", said["stele mirror status"], re.M), said["stele mirror status"])


TESTS = [every_configuration_is_one, every_command_does_what_it_says]
