"""What lifecycle, the collector and reports of clusters say of themselves in /metrics: numbers that are right, not only there. Each
test_* function is a test."""
import json
import re
import subprocess

from common import check, manifest, put_manifest, sha256
from wire import Server, eventually, push_blob, request

RULES = """version: 1
lifecycle: {keep_last: 0, max_fraction: 1, trash_for: 0}
lifecycle_rules:
  - {name: ci, expire: [{tags: ["due-*", "1.*"]}]}
"""


def metrics(server):
    text = request(server, "GET", "/metrics").body.decode()
    return {name: float(value) for name, value in re.findall(r"^(stele_\S+) (\S+)$", text, re.M)}


def with_rules(stele):
    server = Server(stele)
    policy = server.directory / "policy.yaml"
    policy.write_text(RULES)
    server.config.write_text(f"gc: {{lease: 1s}}\npolicy: {policy}\n")
    return server


def command(server, *arguments):
    return subprocess.run([server.stele, *arguments, "--data", server.data], capture_output=True, text=True, timeout=60)


def push(server, repository, tag, size):
    """An image with a layer of its own; the bytes of its manifest."""
    layer = push_blob(server, repository, (tag.encode() * size)[:size])
    content = manifest(push_blob(server, repository, b"{}"), tag, layers=[{"mediaType": "a/b", "digest": layer, "size": size}])
    check(put_manifest(server, repository, tag, content).status == 201, f"pushed {tag}")
    return content


def test_what_runs_removed_and_the_collector_freed_is_counted(stele):
    server = with_rules(stele).start()
    try:
        for tag, size in (("due-1", 5000), ("due-2", 7000), ("stays", 9000), ("1.0.0", 100)):
            push(server, "ci/app", tag, size)
        before = metrics(server)
        quiet = ("runs_total", "removed_manifests_total", "removed_tags_total", "seconds_total", "running", "waiting", "failed",
                 *(f'verdicts_total{{verdict="{which}"}}' for which in ("keep", "expire", "blocked")))
        check(all(before[f"stele_lifecycle_{name}"] == 0 for name in quiet), "at first nothing", before)
        runs = []

        def all_due_is_gone():
            """Each run removes what is no longer leased."""
            done = command(server, "lifecycle", "run", "--json")
            if done.returncode == 0:
                runs.append(json.loads(done.stdout))
            return sum(run["removed"] for run in runs) == 2
        eventually(all_due_is_gone, "the removal, after the leases of the push")
        now = metrics(server)

        def counted(name):
            return now[f"stele_lifecycle_{name}"]
        check(counted("runs_total") == len(runs), "runs", now)
        for name, member in (("removed_manifests_total", "removed"), ("removed_tags_total", "untagged"), ("survived_total", "survived"),
                             ('verdicts_total{verdict="blocked"}', "blocked")):
            check(counted(name) == sum(run[member] for run in runs), f"{name} is the sum of the runs' {member}: {runs}", now)
        check(counted('verdicts_total{verdict="expire"}') >= 2 and counted('verdicts_total{verdict="keep"}') == len(runs), "verdicts", now)
        check(counted('verdicts_total{verdict="blocked"}') == len(runs), "the immutable tag is blocked, once each run", now)
        check(counted("seconds_total") > 0 and counted("running") == counted("waiting") == counted("failed") == 0, "the rest", now)

        eventually(lambda: metrics(server)["stele_gc_freed_bytes_total"] == 5000 + 7000, "the bytes of what they alone had")
        now = metrics(server)
        check(now["stele_gc_blobs_removed_total"] == 2 and now["stele_gc_links_removed_total"] == 2, "two blobs, of one repository", now)
        check(now["stele_gc_reviews_total"] >= 2 and now["stele_gc_seconds_total"] > 0 and now["stele_gc_failures_total"] == 0, "the rest", now)
        check(now["stele_trash_manifests"] == 0 and now["stele_gc_paused"] == 0, "nothing is left", now)
    finally:
        server.kill()
        server.remove()


def test_the_queue_of_the_collector_is_told(stele):
    """A pause lets it grow; the numbers are looked at when the server starts, and now and then."""
    server = with_rules(stele).start()
    try:
        check(command(server, "gc", "pause", "--reason", "somebody looks").returncode == 0, "paused")
        for number in range(3):
            push_blob(server, "ci/app", b"nobody needs it %d" % number)

        def after_a_start(name):
            check(server.stop() == 0, "stopped")
            server.start()
            eventually(lambda: metrics(server)["stele_gc_queue"] == 3, "three wait")
            return metrics(server)[name]
        eventually(lambda: after_a_start("stele_gc_due") == 3, "their lease is over: they are due")
        now = metrics(server)
        check(now["stele_gc_paused"] == 1 and now["stele_gc_freed_bytes_total"] == 0, "and stay", now)
        check(command(server, "gc", "resume").returncode == 0, "resumed")
        eventually(lambda: metrics(server)["stele_gc_blobs_removed_total"] == 3, "then they go")
    finally:
        server.kill()
        server.remove()


def test_a_stale_report_raises_its_metric_and_protects(stele):
    server = with_rules(stele).start()
    try:
        used = push(server, "ci/app", "due-1", 5000)
        push(server, "ci/app", "due-2", 5000)
        for cluster in ("eu", "us"):
            body = json.dumps({"images": [f"ci/app@{sha256(used)}"], "lease": "1h"}).encode()
            check(request(server, "PUT", f"/api/v1/in-use/{cluster}", body=body).status == 200, f"{cluster} reports")
        check(metrics(server)["stele_in_use_stale_reports"] == 0, "both are fresh")
        check(server.stop() == 0, "stopped")
        server.sql("UPDATE in_use_reports SET reported_at = reported_at - 7200 * 1000000 WHERE cluster = 'us'")     # two hours ago
        server.start()
        eventually(lambda: metrics(server)["stele_in_use_stale_reports"] == 1, "one is stale")
        now = metrics(server)
        check(now["stele_in_use_reports"] == 2 and now["stele_in_use_images"] == 2, "both stand", now)
        check(7200 <= now['stele_in_use_report_age_seconds{cluster="us"}'] < 7800 > now['stele_in_use_report_age_seconds{cluster="eu"}'], "ages", now)
        check(command(server, "in-use", "remove", "eu", "--reason", "taken down").returncode == 0, "the fresh one ends")
        plan = json.loads(command(server, "lifecycle", "plan", "--json").stdout)
        verdicts = {item["tag"]: (item["verdict"], item["reason"]) for item in plan["items"] if item["tag"]}
        check(verdicts["due-1"][0] == "BLOCKED" and "cluster us" in verdicts["due-1"][1], f"the stale one protects: {verdicts}")
        check(verdicts["due-2"][0] == "EXPIRE", f"that alone: {verdicts}")
    finally:
        server.kill()
        server.remove()
