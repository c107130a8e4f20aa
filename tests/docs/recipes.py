#!/usr/bin/env python3
"""The recipes of docs/lifecycle.md on a running server: the repository of the page is pushed and pulled, day by day, by a clock that is
set (tests/replay/clock.c); the page's rule is planned and applied; what then can be pulled is what stands below, written by hand.

  recipes.py STELE
"""
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/replay")]
from client import SECOND, Server   # noqa: E402

PAGE = (ROOT / "docs/lifecycle.md").read_text()
REPOSITORY = "team/app"
DAY, LEASE = 86400 * SECOND, 60 * SECOND
NOW = 1_798_761_600 * SECOND   # 2027-01-01T00:00:00Z
OCI = "application/vnd.oci.image."
SETTINGS = "version: 1\nlifecycle: {max_fraction: 1, keep_last: 0, trash_for: 14d}\n"
FREE = 'tag_rules: [{name: all, repositories: ["**"], tags: ["**"], mutability: mutable}]\n'   # no release is protected, as with the others

# What stays: {recipe: (where tags are free to go, where versions are immutable, as without tag rules)}. By hand, from the table of the
# page and what each of the systems says of itself; where versions are immutable, base, old, multi and rc stay too, and take no slot.
STAYS = {
    "Amazon ECR": ("old multi multi-amd64 sbom rc main-new pr-new lost-new", "base old multi multi-amd64 sbom rc main-new pr-new lost-new"),
    "Google Artifact Registry": 2 * ("base old multi multi-amd64 sbom rc main-new pr-new lost-new",),
    "Harbor": 2 * ("base old multi multi-amd64 sbom rc main-old main-new pr-new",),
    "GHCR: untagged versions": 2 * ("base old multi multi-amd64 sbom rc main-old main-new pr-old pr-new",),
    # The four newest with tags; then the four newest of those whose tags are free: pr-2, main-8, latest, pr-1.
    "GHCR: the newest versions": ("multi multi-amd64 sbom rc main-new pr-new", "base old multi multi-amd64 sbom rc main-new pr-old pr-new"),
    "zot": 2 * ("base old multi multi-amd64 sbom rc main-new pr-new lost-new",)}
passed = failed = 0


def check(holds, what, detail=""):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    if not holds:
        print(f"FAIL {what} {detail}", flush=True)


def table():
    """The rows of the page: {image: (tags, pushed, pulled or None, belongs to)}."""
    text = re.search(r"^\| image \| tags \| pushed .*?\n\n", PAGE, re.S | re.M)[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.strip().splitlines()[2:]]
    return {name: (tags.split(), int(pushed), int(pulled) if pulled else None, belongs) for name, tags, pushed, pulled, belongs in rows}


def recipes():
    """{title: (its rule, its line of what stays)}"""
    found = {}
    for part in re.split(r"^### ", PAGE[PAGE.index("## Recipes"):PAGE.index("## What others")], flags=re.M)[1:]:
        rules = [block for block in re.findall(r"^```yaml\n(.*?)^```", part, re.S | re.M) if block.startswith("lifecycle_rules:")]
        found[part.splitlines()[0]] = (rules[-1], re.search(r"^Stays: (.*)$", part, re.M)[1])
    return found


class Repository:
    """The page's, made at a server: `digests` of its images."""

    def __init__(self, server):
        self.server, self.rows, self.digests, self.contents = server, table(), {}, {}

    def ask(self, method, path, body=None, kind="application/octet-stream"):
        return self.server.request("team", method, f"/v2/{REPOSITORY}/{path}", body, {"Content-Type": kind, "Accept": "*/*"})

    def blob(self, content, kind):
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        check(self.ask("POST", f"blobs/uploads/?digest={digest}", content).status == 201, "a blob")
        return {"mediaType": kind, "digest": digest, "size": len(content)}

    def descriptor(self, name, **more):
        kind, content = self.contents[name]
        return {"mediaType": kind, "digest": self.digests[name], "size": len(content), **more}

    def push(self, name):
        tags, _, _, belongs = self.rows[name]
        entries = [other for other, row in self.rows.items() if row[3] == f"entry of {name}"]
        document = {"schemaVersion": 2}
        if entries:
            document |= {"mediaType": OCI + "index.v1+json", "manifests": [self.descriptor(one, platform={"os": "linux", "architecture": "amd64"}) for one in entries]}
        else:
            document |= {"mediaType": OCI + "manifest.v1+json", "config": self.blob(b"{}", OCI + "config.v1+json"), "layers": [self.blob(name.encode(), OCI + "layer.v1.tar")]}
        if belongs.startswith("referrer of "):
            document |= {"subject": self.descriptor(belongs.rpartition(" ")[2]), "artifactType": "application/vnd.example.sbom"}
        content, kind = json.dumps(document).encode(), document["mediaType"]
        self.digests[name], self.contents[name] = "sha256:" + hashlib.sha256(content).hexdigest(), (kind, content)
        for reference in tags or [self.digests[name]]:
            answer = self.ask("PUT", f"manifests/{reference}", content, kind)
            check(answer.status == 201, f"{name} is pushed", answer)

    def days(self):
        """Each act on its day: an index after its entries, a referrer after its subject."""
        order = {name: 0 if row[3].startswith("entry") else 2 if row[3] else 1 for name, row in self.rows.items()}
        acts = [(row[1], order[name], self.push, name) for name, row in self.rows.items()]
        acts += [(row[2], 3, lambda name: self.ask("GET", f"manifests/{self.digests[name]}"), name) for name, row in self.rows.items() if row[2] is not None]
        for day, _, act, name in sorted(acts, key=lambda one: (-one[0], one[1])):
            self.server.at(NOW - day * DAY)
            act(name)

    def tags(self):
        return sorted(self.ask("GET", "tags/list").json()["tags"] or [])

    def images(self):
        """Whoever looks keeps: what is pulled after a plan stays."""
        return [name for name in self.rows if self.ask("GET", f"manifests/{self.digests[name]}").status == 200]


def command(server, *words):
    done = subprocess.run([server.registry.binary, "lifecycle", *words, "--data", server.registry.data], capture_output=True, text=True, timeout=120)
    check(done.returncode == 0, f"stele lifecycle {words}", done.stdout + done.stderr)
    return done.stdout


def tried(repository, title, what, policy, stays, kept):
    """The server as it was before any recipe, with this policy."""
    server = repository.server
    shutil.rmtree(server.registry.data)
    shutil.copytree(kept, server.registry.data)
    server.policy.write_text(policy)
    server.at(NOW)
    server.start()
    server.at(NOW + 2 * LEASE)
    stays = stays.split()
    tags = sorted(tag for name in stays for tag in repository.rows[name][0])
    file = server.directory / "plan.json"
    command(server, "plan", "--output", str(file))
    planned = {item["digest"] for item in json.loads(file.read_text())["items"] if item["verdict"].upper() == "EXPIRE" and not item["tag"]}
    goes = [name for name in repository.rows if repository.digests[name] in planned]
    # What belongs to an image goes with it, without a line of its own.
    expected = [name for name, row in repository.rows.items() if name not in stays and not row[3]]
    check(goes == expected, f"{title}, {what}: the plan", f"{goes}, not {expected}")
    check(repository.tags() == sorted(tag for row in repository.rows.values() for tag in row[0]), f"{title}, {what}: a plan removes nothing")
    said = command(server, "apply", str(file))
    images, left = repository.images(), repository.tags()
    check(images == stays, f"{title}, {what}: what stays", f"{images}, not {stays}: {said}")
    check(left == tags, f"{title}, {what}: its tags", f"{left}, not {tags}")
    server.stop()


def main():
    found = recipes()
    check(list(found) == list(STAYS), "each recipe of the page is tried", list(found))
    with tempfile.TemporaryDirectory(prefix="stele-recipes-") as directory:
        server = Server(str(Path(sys.argv[1]).resolve()), Path(directory), SETTINGS + FREE, f"{LEASE // SECOND}s", NOW - 401 * DAY, ["team"])
        server.start()
        try:
            repository = Repository(server)
            repository.days()
            server.at(NOW)
            check(len(repository.rows) == 12, "the page's table", repository.rows)
            server.stop()
            kept = Path(directory) / "kept"
            shutil.copytree(server.registry.data, kept)
            for title, (rule, says) in found.items():
                free, immutable = STAYS[title]
                check(says == free, f"{title}: the page says what stays", says)
                tried(repository, title, "tags free to go", SETTINGS + FREE + rule, free, kept)
                tried(repository, title, "versions immutable", SETTINGS + rule, immutable, kept)
        finally:
            server.kill()
    print(f"recipes: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
