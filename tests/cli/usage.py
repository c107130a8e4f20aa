#!/usr/bin/env python3
"""`stele usage` against a running server: logical, unique and shared bytes of each repository, and where a clean-up frees most first.

  usage.py STELE
"""
import json
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/protocol"))
from common import IMAGE, put_manifest   # noqa: E402
from wire import Server, push_blob   # noqa: E402

passed = failed = 0
RULES = """version: 1
quotas: [{repositories: ["ci/none"], storage: 400KiB}]
lifecycle: {keep_last: 0, max_fraction: 1}
lifecycle_rules:
  - {name: all, expire: [{tags: ["due-*"]}]}
"""
BASE = b"b" * 50_000       # in several repositories


def check(holds, what, detail=""):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    print(f"{'pass' if holds else 'FAIL'}  {what} {'' if holds else str(detail)[:1000]}", flush=True)


def push(server, repository, tag, *layers):
    """The bytes of the manifest."""
    described = [{"mediaType": "a/b", "digest": push_blob(server, repository, layer), "size": len(layer)} for layer in layers]
    content = json.dumps({"schemaVersion": 2, "mediaType": IMAGE, "layers": described, "annotations": {"note": tag},
                          "config": {"mediaType": "a/b", "digest": push_blob(server, repository, b"{}"), "size": 2}}).encode()
    assert put_manifest(server, repository, tag, content).status == 201
    return len(content)


def session(stele, server):
    def usage(*arguments):
        done = subprocess.run([stele, "usage", *arguments, "--data", server.data], capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, " ".join(["usage", *arguments]), done)
        return done.stdout

    def rows():
        return {row["repository"]: row for row in json.loads(usage("--json"))["repositories"]}

    most = push(server, "ci/most", "due-1", b"m" * 90_000, BASE)
    some = push(server, "ci/some", "due-1", b"s" * 20_000, BASE)
    none = push(server, "ci/none", "stays", b"n" * 200_000)
    table = usage().splitlines()
    check([line.split()[0] for line in table[1:4]] == ["ci/most", "ci/some", "ci/none"], "where a clean-up frees most comes first", table)
    check(table[0].split() == ["REPOSITORY", "MANIFESTS", "LOGICAL", "UNIQUE", "SHARED", "TRASH", "QUOTA", "USED", "WOULD", "FREE"], "its columns", table[0])
    check(re.search(r"^ci/none .* 400 KiB +49%", "\n".join(table), re.M), "how much of its quota is used", table)
    now = rows()
    check(now["ci/none"]["quota_bytes"] == 400 * 1024 and now["ci/most"]["quota_bytes"] is None, "for programs", now)
    for name, manifest, own in (("ci/most", most, 90_000), ("ci/some", some, 20_000)):
        row = now[name]
        check(row["unique_bytes"] == own + manifest, f"{name}: unique is what it alone has", row)
        check(row["shared_bytes"] == len(BASE) + 2, f"{name}: shared is what others have too", row)
        check(row["logical_bytes"] == row["unique_bytes"] + row["shared_bytes"], f"{name}: logical is both", row)
        check(row["would_free_bytes"] == own + manifest, f"{name}: a clean-up frees what it alone has", row)
    check(now["ci/none"]["would_free_bytes"] == 0 and now["ci/none"]["unique_bytes"] == 200_000 + none, "what no rule takes frees nothing", now["ci/none"])

    push(server, "ci/some", "due-2", b"t" * 150_000)
    after = rows()
    check(list(after)[:2] == ["ci/some", "ci/most"], "another one comes first when more of it is due", list(after))
    check(after["ci/some"]["unique_bytes"] > now["ci/some"]["unique_bytes"] + 150_000, "kept with each push", after["ci/some"])
    check(after["ci/most"] == now["ci/most"], "and the others as they were", after["ci/most"])
    check(list(json.loads(usage("ci/n*", "--json"))["repositories"])[0]["repository"] == "ci/none", "by a pattern")


def main():
    stele = Path(sys.argv[1]).resolve()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="stele-usage-") as directory:
        policy = Path(directory) / "policy.yaml"
        policy.write_text(RULES)
        with Server(stele, config=f"policy: {policy}\n") as server:
            session(stele, server)
    print(f"usage: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
