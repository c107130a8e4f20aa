#!/usr/bin/env python3
"""`stele in-use` against a running server: what kubectl prints, lists, what is refused, and how much memory it costs.

  in_use.py STELE
"""
import json
import os
import resource
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/protocol"))
from common import manifest, put_manifest, sha256   # noqa: E402
from wire import Server, push_blob, request   # noqa: E402

passed = failed = 0
LARGE = 200 << 20
MOST_MEMORY = 200 << 20    # of the program that reads it


def check(holds, what, detail=""):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    print(f"{'pass' if holds else 'FAIL'}  {what} {'' if holds else str(detail)[:1000]}", flush=True)


def pod(name, image, image_id, **more):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "annotations": {"last-applied": json.dumps({"containers": [{"image": "never/applied:1"}]})}},
            "spec": {"containers": [{"name": "main", "image": image, "env": [{"name": "image", "value": "never/env:1"}]}], **more},
            "status": {"phase": "Running", "containerStatuses": [{"name": "main", "image": "never/status:1", "imageID": image_id}]}}


def template(kind, image):
    spec = {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}
    return {"kind": kind, "metadata": {"name": "x"}, "spec": {"jobTemplate": {"spec": spec}} if kind == "CronJob" else spec}


def kubectl_document(server, digests):
    host = f"{server.host}:{server.port}"
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [
        pod("one", f"{host}/app:1", f"{host}/app@{digests['1']}"),
        pod("two", "app:moving", f"docker-pullable://{host}/app@{digests['2']}",
            initContainers=[{"name": "init", "image": "app:3"}],
            ephemeralContainers=[{"name": "debug", "image": "docker.io/library/busybox"}],
            volumes=[{"name": "model", "image": {"reference": "app:4", "pullPolicy": "Always"}}]),
        pod("waiting", "app:5", ""),
        template("Deployment", "app:6"), template("CronJob", "app:7"),
        {"kind": "ConfigMap", "data": {"image": "never/data:1"}, "image": "never/there:1"},
    ]}


def session(stele, server):
    config = push_blob(server, "app", b"{}")
    digests = {}
    for tag in "123456789":
        content = manifest(config, tag)
        digests[tag] = sha256(content)
        assert put_manifest(server, "app", tag, content).status == 201
    assert put_manifest(server, "app", "moving", manifest(config, "8")).status == 201

    def run(*arguments, code=0, given=None, by=("--data", server.data)):
        done = subprocess.run([stele, "in-use", *arguments, *by], input=given, capture_output=True, text=True, timeout=60)
        check(done.returncode == code, " ".join(map(str, arguments)), (done.returncode, done.stdout, done.stderr))
        return done.stdout if code == 0 else done.stderr

    def protects(cluster):
        shown = json.loads(run("show", cluster, "--json"))
        return {entry["digest"] for entry in shown["manifests"]}, shown["unknown"]

    document = json.dumps(kubectl_document(server, digests), indent=2)
    said = run("report", "eu", "--from-kubectl", "-", "--lease", "2h", given=document)
    check("cluster eu: 10 references, 8 manifests protected, 1 references unknown here" in said, "the sentence", said)
    check(protects("eu") == ({digests[tag] for tag in "12345678"}, ["docker.io/library/busybox"]), "what it protects", protects("eu"))

    file = server.directory / "pods.json"
    file.write_text(json.dumps(pod("single", f"app@{digests['9']}", "")))
    listed = server.directory / "images.txt"
    listed.write_text(f"# by hand\n\n  app:1  \n{digests['2']}\r\nhalf a line\n")
    url = f"http://{server.host}:{server.port}"
    run("report", "us", "--from-kubectl", file, "--from-list", listed, by=("--server", url))
    check(protects("us") == ({digests[tag] for tag in "129"}, ["half a line"]), "a pod and a list", protects("us"))

    rows = [line.split() for line in run("list").splitlines()]
    check(rows[0] == ["CLUSTER", "STATE", "REPORTED", "LEASE", "IMAGES", "PROTECTED", "UNKNOWN", "BY"], "the head", rows)
    check([row[:2] + row[3:7] for row in rows[1:]] == [["eu", "fresh", "2h", "10", "8", "1"], ["us", "fresh", "24h", "4", "3", "1"]], "the rows", rows)
    shown = run("show", "eu")
    check("unknown here (1 of 1):\n  docker.io/library/busybox" in shown and digests["1"] in shown, "show", shown)

    # Whatever kubectl's failures look like: nothing is reported.
    before = run("show", "eu", "--json")
    for given, says in (("", "not JSON"), (document[:-40], "cut off"), ("[]", "a list"), ("{}", "kind is missing"), ('{"kind":"List","items":[]}', "no image was found"),
                        ('{"kind":"Status","message":"pods is forbidden"}', "pods is forbidden"), (document + document, "cut off"), ("[" * 100000, "a list"),
                        ('{"kind":"List","items":' + "[" * 100000, "too deeply"), ("error: You must be logged in", "not JSON")):
        refusal = run("report", "eu", "--from-kubectl", "-", code=2, given=given)
        check(says in refusal and "report" in refusal, f"says {says}", refusal)
    run("report", "eu", "--from-list", "-", code=2, given="# nothing\n")
    run("report", "eu", "--from-list", server.directory / "nowhere", code=2)
    run("report", "eu", code=2)
    check("protects nothing" not in run("report", "eu", "--from-list", "-", code=2, given="other.example/x:1\n"), "none of them is known")
    run("report", "eu", "--from-list", "-", "--lease", "5s", code=2, given="app:1\n")
    run("report", "E_U", "--from-list", "-", code=2, given="app:1\n")
    check(run("show", "eu", "--json") == before, "the report stands")
    run("report", "eu", "--from-list", "-", "--allow-empty", given="")
    check(protects("eu") == (set(), []), "it was meant")

    run("remove", "eu", code=2)
    run("remove", "eu", "--reason", "taken down")
    run("remove", "eu", "--reason", "again", code=4)
    run("show", "eu", code=4)


def external_host(stele):
    """What is behind another host's tag is another's once ours is known."""
    with Server(stele, "external_url: https://Registry.Example:8443\n") as server:
        config = push_blob(server, "app", b"{}")
        content = manifest(config, "one")
        assert put_manifest(server, "app", "1", content).status == 201
        images = ["registry.example:8443/app:1", "localhost/app:1", "other.example/app:1", f"other.example/app@{sha256(content)}"]
        for image, known in zip(images, (1, 1, 0, 1)):
            answer = request(server, "PUT", "/api/v1/in-use/eu", body=json.dumps({"images": [image], "allow_empty": True}).encode())
            check(answer.status == 200 and answer.json()["protected"] == known, image, answer)


def large(stele, server):
    """Of a document of 200 MB only the images are kept; and the largest report is taken."""
    filler = json.dumps({"kind": "Pod", "metadata": {"annotations": {"filler": "x" * 9000}}, "spec": {"containers": [{"image": "app:1"}] * 3}}) + ","
    process = subprocess.Popen([stele, "in-use", "report", "large", "--from-kubectl", "-", "--data", server.data], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def feed():
        process.stdin.write(b'{"kind":"List","items":[')
        for _ in range(LARGE // len(filler) + 1):
            process.stdin.write(filler.encode())
        process.stdin.write(b'{"kind":"Pod"}]}')
        process.stdin.close()
    feeder = threading.Thread(target=feed)
    feeder.start()
    said = process.stdout.read().decode()
    feeder.join()
    _, status, usage = os.wait4(process.pid, 0)
    check(status == 0 and "cluster large: 1 references, 1 manifests protected" in said, "200 MB of kubectl", said)
    sanitized = b"__asan_init" in Path(stele).read_bytes() or b"__tsan_init" in Path(stele).read_bytes()
    memory = usage.ru_maxrss * 1024
    check(sanitized or memory < MOST_MEMORY, f"{LARGE >> 20} MiB are read in {memory >> 20} MiB", memory)

    config = push_blob(server, "app", b"{}")
    digest = sha256(manifest(config, "1"))
    many = [f"registry.example.com/team-{i % 1000}/app-{i}@{digest}" for i in range(99_999)] + ["app:1"]
    lines = "\n".join(many)
    done = subprocess.run([stele, "in-use", "report", "large", "--from-list", "-", "--data", server.data], input=lines, capture_output=True, text=True, timeout=120)
    check(done.returncode == 0 and "100000 references, 1 manifests protected, 99999 references unknown" in done.stdout, "100,000 images", done)
    done = subprocess.run([stele, "in-use", "report", "large", "--from-list", "-", "--data", server.data], input=lines + "\napp:2", capture_output=True, text=True, timeout=120)
    check(done.returncode == 2 and "more than 100000 images" in done.stderr, "and one more", done)


def main():
    stele = Path(sys.argv[1]).resolve()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with Server(stele) as server:
        session(stele, server)
        large(stele, server)
    external_host(stele)
    print(f"in-use: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
