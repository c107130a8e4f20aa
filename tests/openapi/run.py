#!/usr/bin/env python3
"""Holds docs/api/openapi.yaml against a running server: nothing is served that it does not have, nothing is in it that is
not served, and every answer has the form that it says.

  run.py STELE
"""
import base64
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/protocol"))
sys.path.insert(0, str(ROOT / "tests/openapi"))
from mirror_updates import Upstream, mirror_updates   # noqa: E402
from common import manifest, put_manifest, sha256   # noqa: E402
from wire import Connection, Server, eventually, in_threads, push_blob, request   # noqa: E402

METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")
TABLE = re.compile(r"\{AdminEndpoint::(\w+), Method::(\w+),")


class Document:
    def __init__(self):
        self.text = yaml.safe_load((ROOT / "docs/api/openapi.yaml").read_text())
        self.operations = {(method.upper(), path): operation for path, item in self.text["paths"].items()
                           for method, operation in item.items() if method != "parameters"}
        self.tried = set()          # (method, path, status)
        self.wrong = []

    def match(self, target):
        """The path of the document that a target is one of; the one with most fixed text."""
        path = target.split("?")[0].removeprefix("/api/v1")
        fits = [known for known in self.text["paths"]
                if re.fullmatch(re.sub(r"\\\{name\\\}", ".+", re.sub(r"\\\{(tag|id|cluster|robot|user|mirror)\\\}", "[^/]+", re.escape(known))), path)]
        return max(fits, key=lambda known: len(re.sub(r"\{\w+\}", "", known)), default=None)

    def resolve(self, node):
        while "$ref" in node:
            found = self.text
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def validate(self, instance, schema, what):
        # References inside the schema point into the whole document.
        whole = {**schema, "components": self.text["components"]}
        errors = list(jsonschema.Draft202012Validator(whole).iter_errors(instance))
        if errors:
            self.wrong.append(f"{what}: {errors[0].json_path} {errors[0].message[:200]}")

    def hold(self, method, target, sent, answer):
        path = self.match(target)
        operation = self.operations.get((method, path))
        what = f"{method} {target} → {answer.status}"
        if operation is None:
            return self.wrong.append(f"{what}: not in the document")
        response = operation["responses"].get(str(answer.status))
        if response is None:
            return self.wrong.append(f"{what}: the document has no {answer.status} there: {answer.body[:200]!r}")
        self.tried.add((method, path, answer.status))
        if sent and answer.status < 300:
            self.validate(sent, operation["requestBody"]["content"]["application/json"]["schema"], f"{what}, the request")
        content = self.resolve(response)["content"]
        kind = answer.get("Content-Type")
        if kind not in content:
            return self.wrong.append(f"{what}: {kind} is not in the document")
        if kind == "application/json":
            self.validate(json.loads(answer.body), content[kind]["schema"], what)
        return None


def session(document, server, policy, upstream):
    """Every operation, with what it answers when all is well and when not."""
    def ask(method, target, body=None, local=False, condition=None):
        sent = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        fields = (["Content-Type: application/json"] if sent else []) + ([condition] if condition else [])
        answer = request(server, method, "/api/v1" + target, fields, None if method == "GET" else sent,
                         address=server.data / "stele.sock" if local else None)
        document.hold(method, "/api/v1" + target, None if isinstance(body, bytes) else body, answer)
        return answer

    config = push_blob(server, "team/app", b"{}")
    one, two = manifest(config, "one"), manifest(config, "two")
    for tag, content in (("1.0.0", one), ("latest", one), ("latest", two), ("locked", one), ("bound", one)):
        assert put_manifest(server, "team/app", tag, content).status == 201, tag
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 5))
    repository = "/repositories/team%2Fapp"
    ask("GET", "/repositories/team/app/tags")
    ask("GET", repository + "/tags?n=1&last=1.0.0")
    ask("GET", repository + "/tags?n=0")
    ask("GET", "/repositories/nobody/tags")
    ask("GET", repository + "/tags/latest")
    ask("GET", repository + f"/tags/latest?at={moment}")
    ask("GET", repository + "/tags/latest?at=2001-01-01T00:00:00Z")
    ask("GET", repository + "/tags/latest?at=yesterday")
    ask("GET", repository + "/tags/latest/history")
    ask("GET", repository + "/tags/latest/history?n=1")
    ask("GET", repository + "/tags/latest/history?before=x")
    ask("GET", repository + "/tags/never/history")
    ask("POST", repository + "/tags/latest/rollback")
    ask("POST", repository + "/tags/latest/rollback", {"to": sha256(two), "reason": "it was right"})
    ask("POST", repository + "/tags/latest/rollback", {"at": moment, "to": sha256(two)})
    ask("POST", repository + "/tags/never/rollback", {})
    ask("POST", repository + "/tags/bound/rollback", {"to": sha256(one)})
    ask("POST", repository + "/tags/1.0.0/release", {})
    ask("POST", repository + "/tags/never/release", {"reason": "by mistake"})
    ask("POST", repository + "/tags/latest/release", {"reason": "by mistake"}, condition=f'If-Match: "{sha256(one)}x"')
    ask("POST", repository + "/tags/latest/rollback", {}, condition="If-None-Match: *")
    ask("POST", repository + "/tags/locked/release", {"reason": "by mistake"})
    assert put_manifest(server, "team/app", "3.0.0", one).status == 201
    ask("POST", repository + "/tags/3.0.0/release", {"reason": "by mistake"})
    ask("GET", "/policy/explain?repository=team/app&tag=3.0.0")
    ask("POST", repository + "/promote", {"reference": "latest", "to": "prod/app", "tags": ["2.0.0", "stable"]})
    ask("POST", repository + "/promote", {"reference": "1.0.0", "to": "prod/app", "tags": ["2.0.0"]})
    ask("POST", repository + "/promote", {"reference": "never", "to": "prod/app"})
    ask("POST", repository + "/promote", {"reference": "latest", "to": "prod/app", "tags": ["stable"]}, condition="If-None-Match: *")
    ask("POST", repository + "/promote", {"reference": "latest", "two": "prod/app"})
    ask("POST", repository + "/promote", {"reference": "latest", "to": "full/app"})
    ask("GET", repository + "/locks")
    ask("GET", repository + "/locks?after=x")
    ask("POST", repository + "/tags/locked/lock", {"until": "2099-01-01T00:00:00Z"})
    ask("POST", repository + "/tags/locked/lock", {"until": "2001-01-01T00:00:00Z"})
    ask("POST", repository + "/tags/locked/lock", {"until": "9999-12-31T23:59:59Z"})
    ask("POST", repository + "/tags/latest/lock", {"until": "2099-01-01T00:00:00Z"})
    ask("DELETE", repository + "/tags/locked/lock", {"reason": "by mistake"})
    ask("DELETE", repository + "/tags/locked/lock", {})
    ask("DELETE", repository + "/tags/locked/lock", {"reason": "again"})
    ask("DELETE", repository + "/tags/bound/lock", {"reason": "never"})
    ask("GET", repository + "/locks")
    ask("POST", "/holds", {"name": "trial", "case": "77", "repository": "team/app", "reference": "latest"})
    ask("POST", "/holds", {"name": "trial", "case": "77", "repository": "team/app"})
    ask("POST", "/holds", {"name": "trial", "repository": "team/app"})
    ask("POST", "/holds", {"name": "trial", "case": "77", "repository": "nobody"})
    ask("GET", "/holds")
    ask("GET", "/holds?after=x")
    ask("DELETE", repository)
    ask("POST", "/holds/1/release", {"reason": "settled"})
    ask("POST", "/holds/1/release", {"reason": "again"})
    ask("POST", "/holds/99/release", {"reason": "never"})
    ask("POST", "/holds/2/release", {"reason": "settled"})
    ask("GET", "/holds?all=1")
    mirror_updates(server, ask, upstream)
    ask("GET", "/policy")
    ask("GET", "/policy/explain?repository=team/app&tag=1.0.0")
    ask("GET", "/policy/explain?repository=team/app&tag=bound")
    ask("GET", "/policy/explain?repository=nobody&tag=never")
    assert ask("GET", "/policy/explain?repository=full/app&tag=never").json()["quota"]["bytes"] == 1
    ask("GET", "/policy/explain?repository=NOBODY&tag=never")
    ask("GET", "/access/explain?who=user:releaser&action=push&repository=team/app")
    ask("GET", "/access/explain?who=somebody&action=push")
    tried = ask("POST", "/policy/try", b'version: 1\ntag_rules: [{name: all, tags: ["**"], mutability: immutable}]\n').json()
    assert tried["tags_changed"] > 0 and tried["bindings_refused"] > 0, tried
    ask("POST", "/policy/try?days=0", b"version: 1\n")
    ask("POST", "/policy/try", b"version: 2\n")
    ask("POST", "/policy/try?days=-1", b"version: 1\n")
    ask("GET", "/clock")
    ask("POST", "/clock/confirm")
    ask("POST", "/backup")
    ask("POST", "/backup", local=True)
    ask("GET", "/status")
    ask("GET", "/gc")
    ask("POST", "/gc/pause", {"reason": "the disk is looked at"})
    ask("POST", "/gc/pause")
    ask("POST", "/gc/pause", {"why": "?"})
    ask("POST", "/gc/resume")
    ask("POST", "/gc/resume")
    lost = push_blob(server, "team/app", b"a blob that is lost")
    server.damage("remove", lost)
    ask("GET", "/scrub")
    ask("POST", "/scrub/pause", {"reason": "the disk is looked at"})
    ask("POST", "/scrub/pause")
    ask("POST", "/scrub/start")
    ask("POST", "/scrub/resume")
    ask("POST", "/scrub/resume")
    ask("POST", "/scrub/start")
    eventually(lambda: not ask("GET", "/scrub").json()["under_way"], "the end of the scrub")
    found = ask("GET", "/quarantine").json()["blobs"]
    assert [blob["digest"] for blob in found] == [lost] and found[0]["repositories"] == ["team/app"], found
    ask("GET", "/quarantine?n=1&after=" + lost)
    ask("GET", "/quarantine?n=0")
    ask("GET", "/fsck")
    # A check is over in milliseconds: several at once, and again, until one has met another.
    eventually(lambda: 400 in [answer.status for answer in in_threads(8, lambda number: ask("POST", "/fsck"))], "a second check beside the first")
    eventually(lambda: ask("GET", "/fsck").json()["state"] == "done", "the end of the check")
    report = ask("GET", "/fsck").json()
    assert report["problems"] == 1, report
    push_blob(server, "team/app", b"a blob that is lost")
    ask("POST", "/sweep?grace_seconds=0")
    ask("POST", "/sweep?grace_seconds=0", local=True)
    ask("POST", "/sweep?grace_seconds=x", local=True)
    in_use(document, server, ask)
    trash(server, ask)
    lifecycle(document, server, policy, ask)
    why(server, ask, config, one)
    ask("DELETE", "/repositories/nobody")
    assert put_manifest(server, "scratch", "t", manifest(push_blob(server, "scratch", b"{}"), "x")).status == 201
    ask("DELETE", "/repositories/scratch")
    policy.write_text('version: 1\ntag_rules: [{name: frozen, tags: ["**"], mutability: immutable}]\n')
    server.signal(signal.SIGHUP)
    eventually(lambda: "frozen" in request(server, "GET", "/api/v1/policy/explain?repository=a&tag=b").body.decode(), "the policy")
    ask("POST", repository + "/tags/latest/rollback", {})


def why(server, ask, config, one):
    """Repositories, tags, manifests and blobs that are here, that went, and that never were."""
    assert put_manifest(server, "past/app", "v1", manifest(push_blob(server, "past/app", b"{}"), "past")).status == 201
    past = sha256(manifest(config, "past"))
    here = ask("GET", "/repositories/team%2Fapp/why?tag=1.0.0").json()
    assert (here["state"], here["content"]["kind"], here["content"]["tags"][0]["rule"]) == ("present", "manifest", "releases"), here
    assert ask("GET", f"/repositories/team/app/why?digest={sha256(one)}").json()["digest"] == sha256(one)
    assert ask("GET", f"/repositories/team/app/why?digest={sha256(b'{}')}").json()["content"]["kind"] == "blob"
    assert ask("GET", "/repositories/team/app/why").json()["whole"]["lock"]
    assert ask("GET", "/repositories/past/app/why?tag=v1").json()["digest"] == past
    usage = ask("GET", "/usage?repository=%7Bpast,team%7D/**&n=1&would_free=1").json()
    assert usage["next"] == usage["repositories"][0]["repository"] == "past/app", usage
    assert usage["repositories"][0]["shared_bytes"] == 2, usage
    assert ask("GET", "/usage?after=past/app&repository=%7Bpast,team%7D/**").json()["repositories"][0]["repository"] == "team/app"
    assert ask("GET", "/usage?repository=%7B").status == 400
    assert ask("GET", "/usage?n=0").status == 400
    mirror = ask("GET", "/mirrors").json()["mirrors"][0]
    assert (mirror["name"], mirror["hits"], mirror["hit_rate"]) == ("far.example", 0, None), mirror
    assert request(server, "GET", "/v2/far.example/app/manifests/1").status == 503
    ask("POST", "/repositories/far.example%2Fapp/promote", {"reference": "1", "to": "prod/app"})
    ask("POST", "/repositories/far.example%2Fapp/promote", {"reference": "1", "to": "far.example/other"})
    ask("POST", "/mirrors/fetches", {"repository": "far.example/app", "reference": "1", "platforms": ["linux/amd64"]})
    ask("POST", "/mirrors/fetches", {"repository": "own/app", "reference": "1"})
    ask("POST", "/mirrors/fetches", {"repository": "far.example/app", "reference": "1", "platforms": ["amd64"]})
    mirror = ask("GET", "/mirrors").json()["mirrors"][0]
    assert mirror["misses"] == 1 and mirror["hit_rate"] == 0 and mirror["upstreams"][0]["problem"], mirror
    assert ask("DELETE", "/repositories/past/app").status == 200
    gone = ask("GET", "/repositories/past/app/why?tag=v1").json()
    assert (gone["state"], gone["digest"], gone["departures"][0]["with_repository"]) == ("gone", past, True), gone
    assert ask("GET", "/repositories/past/app/why").json()["departures"][0]["action"] == "repository.delete"
    assert ask("GET", "/repositories/past/app/why?tag=v2").status == 404
    assert ask("GET", "/repositories/team/app/why?tag=a&digest=b").status == 400
    assert ask("GET", "/repositories/team/app/why?digest=b").status == 400

    def counted():
        text = request(server, "GET", "/metrics").body.decode()
        return all(f"\n{name} " in text for name in ("stele_repositories", "stele_logical_bytes", "stele_unique_bytes", "stele_shared_bytes"))
    assert counted()


def in_use(document, server, ask):
    taken = ask("PUT", "/in-use/eu", {"images": ["team/app:latest", "other.example/nothing:1"], "lease": "48h"}).json()
    assert (taken["protected"], taken["unknown"], taken["lease"]) == (1, ["other.example/nothing:1"], "2d"), taken
    ask("PUT", "/in-use/us", {"images": [], "allow_empty": True})
    for wrong in ({"images": []}, {"images": "a"}, {"images": [1]}, {"images": [["a"]]}, {}, {"images": ["a"], "lease": "1s"},
                  {"images": ["a"], "lease": 24}, {"images": ["a"], "lease": "soon"}, {"images": ["a"], "least": "24h"}, [], b"{",
                  b'{"images": ["a"], "images": ["b"]}', b'{"images": ["a"]} {}', b""):
        assert ask("PUT", "/in-use/eu", wrong).status == 400, wrong
    assert ask("PUT", "/in-use/E_U", {"images": ["a"]}).status == 400
    listed = ask("GET", "/in-use").json()["reports"]
    assert [report["cluster"] for report in listed] == ["eu", "us"], listed
    page = ask("GET", "/in-use/eu?n=1").json()
    assert page["next"] == "team/app@" + page["manifests"][0]["digest"], page
    assert ask("GET", "/in-use/eu?after=" + page["next"]).json()["manifests"] == []
    ask("GET", "/in-use/eu?after=x")
    ask("GET", "/in-use/nowhere")
    text = request(server, "GET", "/metrics").body.decode()
    for line in ("stele_in_use_reports 2", "stele_in_use_stale_reports 0", "stele_in_use_images 1", 'stele_in_use_report_age_seconds{cluster="eu"}'):
        assert line in text, line

    def announced(length):
        connection = Connection(server)
        connection.send(f"PUT /api/v1/in-use/eu HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n".encode())
        return connection
    large = 64 << 20
    document.hold("PUT", "/api/v1/in-use/eu", None, announced(large + 1).read_answer("PUT"))
    waiting = [announced(large), announced(large)]

    def refused():
        return ask("PUT", "/in-use/eu", {"images": ["team/app:latest"]}).status == 429

    def refused_or_again():
        if refused():
            return True
        # The small report may have had the place of a large one, which is refused then and gone.
        for place, connection in enumerate(waiting):
            connection.close()
            waiting[place] = announced(large)
        time.sleep(0.2)
        return False
    eventually(refused_or_again, "the refusal of a third large report")
    for connection in waiting:
        connection.close()
    eventually(lambda: not refused(), "room for a report")
    ask("DELETE", "/in-use/us", {"reason": "taken down"})
    ask("DELETE", "/in-use/us", {"reason": "again"})
    ask("DELETE", "/in-use/us", {})


def lifecycle(document, server, policy, ask):
    for tag in ("1.0.0", "pr-1", "pr-2"):
        assert put_manifest(server, "ci/web", tag, manifest(push_blob(server, "ci/web", b"{}"), tag)).status == 201
    text = policy.read_text()
    rules = """lifecycle: {schedule: "0 3 1 1 *", windows: ["00:00-24:00"], max_fraction: 0.5}
lifecycle_rules: [{name: ci, repositories: ["ci/web"], keep: [{tags: [latest]}], expire: [{tags: ["pr-*"]}]}]
"""
    assert ask("GET", "/lifecycle").json()["rules"] == []
    planned = ask("POST", "/lifecycle/plan", {"repository": "ci/we*", "policy": text + rules}).json()
    assert planned["plan"]["expiring"] == 2, planned
    policy.write_text(text + rules)
    server.signal(signal.SIGHUP)
    eventually(lambda: ask("GET", "/lifecycle?repository=ci/web").json()["rules"], "the lifecycle rules")
    ask("GET", "/lifecycle?repository=CI")
    ask("POST", "/lifecycle/plan", {"repository": "{"})
    ask("POST", "/lifecycle/plan", {"policy": "version: 2"})
    # What goes with its last tag has an item of its own.
    assert sorted((item["tag"] or "", item["verdict"]) for item in planned["items"]) == [
        ("", "EXPIRE"), ("", "EXPIRE"), ("1.0.0", "KEEP"), ("pr-1", "EXPIRE"), ("pr-2", "EXPIRE")], planned
    for wrong in ("2001-01-01T00:00:00Z", "tomorrow", 7):
        assert ask("POST", "/lifecycle/plan", {"at": wrong}).status == 400, wrong

    def then():
        return ask("POST", "/lifecycle/plan", {"at": "2099-01-01T00:00:00Z"}).json()
    assert ask("POST", "/lifecycle/apply", then()).status == 400    # of another time

    def age_then():
        return next(item["age_seconds"] for item in then()["items"] if item["tag"] == "1.0.0")
    age = age_then()
    eventually(lambda: request(server, "HEAD", "/v2/ci/web/manifests/1.0.0").status == 200 and age_then() < age, "a HEAD that counts as a push")
    plan = ask("POST", "/lifecycle/plan").json()
    assert plan["plan"]["hash"] == planned["plan"]["hash"], (plan["plan"], planned["plan"])
    stopped = eventually(lambda: (lambda answer: answer.status == 200 and answer)(ask("POST", "/lifecycle/run")), "a lease after the start").json()
    assert stopped["state"] == "waiting" and stopped["waiting"][0]["expiring"] == 2, stopped
    run = f"/lifecycle/runs/{stopped['id']}"
    ask("POST", "/gc/pause", {"reason": "somebody looks"})
    for target, body in (("/lifecycle/run", None), ("/lifecycle/apply", plan), (run + "/approve", None)):
        assert ask("POST", target, body).status == 503, target
    ask("POST", "/gc/resume")
    ask("GET", run)
    ask("GET", "/lifecycle/runs/99")
    ask("POST", "/lifecycle/runs/99/approve")
    ask("POST", "/lifecycle/runs/99/dismiss", {"reason": "no"})
    ask("POST", run + "/dismiss", {"reason": "not now"})
    ask("POST", run + "/dismiss", {"reason": "again"})
    ask("POST", run + "/approve")
    again = ask("POST", "/lifecycle/run").json()
    done = ask("POST", f"/lifecycle/runs/{again['id']}/approve").json()
    assert (done["state"], done["removed"]) == ("done", 0), done    # pushed within the lease
    changed = {**plan, "items": plan["items"][:-1]}
    for wrong in (changed, {"plan": plan["plan"]}, {"items": []}, [], b"{", b""):
        assert ask("POST", "/lifecycle/apply", wrong).status == 400, wrong
    runs = []

    def all_removed():
        """Each run removes what is no longer leased."""
        runs.append(ask("POST", "/lifecycle/apply?approve=1", plan).json())
        assert runs[-1]["state"] == "done", runs[-1]
        return sum(run["removed"] for run in runs) == 2
    eventually(all_removed, "the removal, after the leases of the push")
    assert sum(run["untagged"] for run in runs) == 2, runs
    ask("GET", "/lifecycle/runs")
    assert ask("GET", "/lifecycle/runs?n=1").json()["next"]
    ask("GET", "/lifecycle/runs?before=x")
    connection = Connection(server)
    connection.send(f"POST /api/v1/lifecycle/apply HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {(64 << 20) + 1}\r\n\r\n".encode())
    document.hold("POST", "/api/v1/lifecycle/apply", None, connection.read_answer("POST"))
    policy.write_text(text)
    server.signal(signal.SIGHUP)


# As a run of lifecycle moves it (storage/catalog/trash.cpp).
THROW_AWAY = """
INSERT INTO trash (run_id, repository_id, digest, media_type, subject, size, created_at, created_by, removed_at, erase_after, rule, reason,
  checksum, bytes) SELECT 7, repository_id, digest, media_type, subject, size, created_at, created_by, created_at, created_at + 864000000000, 'ci',
  'older than 14d', checksum, bytes FROM manifests WHERE digest = :digest AND repository_id = :repository;
UPDATE repository_usage SET manifests = manifests - 1, trash_manifests = trash_manifests + 1,
  manifest_bytes = manifest_bytes - (SELECT size FROM trash ORDER BY id DESC LIMIT 1),
  trash_bytes = trash_bytes + (SELECT size FROM trash ORDER BY id DESC LIMIT 1) WHERE repository_id = :repository;
INSERT INTO trash_tags SELECT (SELECT max(id) FROM trash), t.name, t.repository_id, t.pushed_at, t.pushed_by FROM tags t JOIN manifests m
  ON m.id = t.manifest_id WHERE m.digest = :digest AND m.repository_id = :repository;
INSERT INTO trash_references SELECT DISTINCT (SELECT max(id) FROM trash), f.digest, f.repository_id FROM manifest_references f JOIN manifests m
  ON m.id = f.manifest_id WHERE m.digest = :digest AND m.repository_id = :repository;
DELETE FROM tags WHERE manifest_id = (SELECT id FROM manifests WHERE digest = :digest AND repository_id = :repository);
DELETE FROM manifest_references WHERE manifest_id = (SELECT id FROM manifests WHERE digest = :digest AND repository_id = :repository);
DELETE FROM manifests WHERE digest = :digest AND repository_id = :repository;
"""


def trash(server, ask):
    def throw_away(digest):
        catalog = sqlite3.connect(server.data / "stele.db", isolation_level=None)
        catalog.execute("BEGIN IMMEDIATE")
        (repository,) = catalog.execute("SELECT id FROM repositories WHERE name = 'ci/app'").fetchone()
        for statement in THROW_AWAY.split(";")[:-1]:
            catalog.execute(statement, {"digest": digest, "repository": repository})
        catalog.execute("COMMIT")
        catalog.close()
        eventually(lambda: digest in ask("GET", "/trash").body.decode(), "the trash")
        return max(item["id"] for item in ask("GET", "/trash").json()["items"])

    config = push_blob(server, "ci/app", b"{}")
    one, two = manifest(config, "trash one"), manifest(config, "trash two")
    for tag, content in (("pr-1", one), ("pr-2", two)):
        assert put_manifest(server, "ci/app", tag, content).status == 201, tag
    item = throw_away(sha256(one))
    other = throw_away(sha256(two))
    page = ask("GET", "/trash?repository=ci/app&run=7&n=1").json()
    assert (page["items"][0]["tags"], page["next"]) == (["pr-1"], item), page
    for query in ("run=x", "after=-1", "n=0", "repository=A"):
        assert ask("GET", f"/trash?{query}").status == 400, query
    ask("GET", "/trash?repository=nobody")
    assert put_manifest(server, "ci/app", "pr-1", manifest(config, "anew")).status == 201
    taken = ask("POST", f"/trash/{item}/restore", {}).json()["errors"][0]
    assert taken["detail"]["reason"] == "TAG_TAKEN", taken
    ask("POST", f"/trash/{item}/restore", {"skip_taken": 1})
    back = ask("POST", f"/trash/{item}/restore", {"skip_taken": True}).json()
    assert (back["manifests"], back["skipped"]) == ([sha256(one)], ["pr-1"]), back
    ask("POST", f"/trash/{item}/restore")
    run = ask("POST", "/trash/restore", {"run": 7}).json()
    assert (run["manifests"], run["tags"], run["refused"]) == (1, 1, 0), run
    ask("POST", "/trash/restore", {"run": 7})
    ask("POST", "/trash/restore", {})
    other = throw_away(sha256(two))
    hold = ask("POST", "/holds", {"name": "trash", "case": "1", "repository": "ci/app"}).json()["id"]
    ask("DELETE", f"/trash/{other}")
    refused = ask("POST", "/trash/erase", {"run": 7}).json()
    assert (refused["erased"], refused["refused"], refused["refusals"][0]["reason"]) == (0, 1, "HELD"), refused
    ask("POST", f"/holds/{hold}/release", {"reason": "over"})
    ask("DELETE", f"/trash/{other}")
    ask("DELETE", f"/trash/{other}")
    throw_away(sha256(one))
    assert ask("POST", "/trash/erase", {"repository": "ci/app"}).json()["erased"] == 1
    ask("POST", "/trash/erase", {"repository": "nobody"})
    ask("POST", "/trash/erase", {"run": 99})
    for wrong in ({}, {"run": 7, "repository": "ci/app"}, {"run": "7"}, {"run": -1}):
        assert ask("POST", "/trash/erase", wrong).status == 400, wrong


def robots(document, server):
    """Where somebody can log in; all of it by the local socket."""
    def ask(method, target, body=None):
        answer = request(server, method, "/api/v1" + target, [], None if method == "GET" else json.dumps(body).encode() if body is not None else b"",
                         address=server.data / "stele.sock")
        document.hold(method, "/api/v1" + target, body, answer)
        return answer

    made = ask("POST", "/robots", {"name": "ci", "scopes": ["**:pull,push"], "expires": "30d", "description": "builds"}).json()
    ask("POST", "/robots", {"name": "ci", "scopes": ["**:pull"]})
    ask("POST", "/robots", {"name": "forever", "scopes": ["**:*"], "expires": "never"})
    assert [one["name"] for one in ask("GET", "/robots?n=1").json()["robots"]] == ["ci"]
    assert ask("GET", "/robots?after=ci").json()["next"] is None
    ask("GET", "/robots?n=0")
    ask("GET", "/tokens")
    assert ask("GET", "/tokens?subject=robot:ci&n=1").json()["next"] == made["token"]
    ask("GET", "/tokens?after=x")
    assert ask("POST", "/robots/ci/renew", {"secret": "keep", "expires": "1h"}).json()["secret"] is None
    assert ask("POST", "/robots/ci/renew").json()["secret"] != made["secret"]
    ask("POST", "/robots/ci/renew", {"expires": "soon"})
    ask("POST", "/robots/nobody/renew")
    token = ask("GET", "/robots").json()["robots"][0]["token"]
    ask("DELETE", f"/tokens/{token}", {"reason": "lost"})
    ask("DELETE", f"/tokens/{token}")
    ask("DELETE", f"/tokens/{token}", {"why": "lost"})
    assert ask("GET", "/robots").json()["robots"][0]["state"] == "revoked"
    assert len(ask("POST", "/tokens/revoke", {"subject": "robot:forever", "reason": "lost"}).json()["revoked"]) == 1
    ask("POST", "/tokens/revoke", {"subject": "robot:forever"})
    ask("POST", "/tokens/revoke", {"reason": "lost"})
    ask("POST", "/robots/forever/revoke", {"reason": "lost"})
    ask("POST", "/robots/forever/revoke", {"reason": 7})
    ask("POST", "/robots/nobody/revoke")
    ask("DELETE", "/robots/ci", {"reason": "over"})
    ask("DELETE", "/robots/ci")
    ask("DELETE", "/robots/C%20I")


def own_tokens(document, server):
    """By the network: who comes by the socket is no user."""
    def ask(method, target, body=None, who="bob:secret 2"):
        headers = ["Content-Type: application/json"] + (["Authorization: Basic " + base64.b64encode(who.encode()).decode()] if who else [])
        answer = request(server, method, "/api/v1/account/tokens" + target, headers, None if method == "GET" else json.dumps(body or {}).encode())
        document.hold(method, "/api/v1/account/tokens" + target, body, answer)
        return answer

    made = [ask("POST", "", {"name": f"token {number}", "scopes": ["**:pull"], "expires": "1h"}) for number in range(101)]
    assert [answer.status for answer in made] == [201] * 100 + [429]
    first, secret = made[0].json()["id"], made[0].json()["secret"]
    assert len(ask("GET", "").json()["tokens"]) == 100
    assert ask("POST", "", {"name": "token", "scopes": []}).status == 400
    for who in ("", f"bob:{secret}"):
        refused = [ask("GET", "", who=who), ask("POST", "", {"name": "x", "scopes": ["**:pull"]}, who=who), ask("DELETE", f"/{first}", who=who)]
        assert [answer.status for answer in refused] == [403 if who else 401] * 3
    assert ask("DELETE", f"/{first}", {"why": "lost"}).status == 400
    assert ask("DELETE", f"/{first}", {"reason": "lost"}).json()["revoked"] is True
    assert ask("DELETE", f"/{first}").status == 404


def users(document, server):
    """Where somebody can log in; all of it by the local socket."""
    def ask(method, target, body=None):
        answer = request(server, method, "/api/v1" + target, [], None if method == "GET" else json.dumps(body).encode() if body is not None else b"",
                         address=server.data / "stele.sock")
        document.hold(method, "/api/v1" + target, body, answer)
        return answer

    assert ask("POST", "/users", {"name": "ann", "password": "secret 1", "groups": ["dev"]}).json()["groups"] == ["dev"]
    assert ask("POST", "/users", {"name": "ann", "password": "secret 1"}).status == 400
    ask("POST", "/users", {"name": "bob", "password": "secret 2"})
    for wrong in ({}, {"name": "c"}, {"name": "C", "password": "secret 4"}, {"name": "c", "password": "secret 4", "groups": "dev"},
                  {"name": "c", "password": "secret 4", "groups": ["Dev"]}, {"name": "c", "password": "secret 4" * 513}, {"name": "c", "password": 7}):
        assert ask("POST", "/users", wrong).status == 400, wrong
    assert [one["name"] for one in ask("GET", "/users?n=1").json()["users"]] == ["ann"]
    assert ask("GET", "/users?after=ann").json()["next"] is None
    ask("GET", "/users?n=0")
    assert ask("POST", "/users/ann/groups", {"add": ["ops"], "remove": ["dev"]}).json()["groups"] == ["ops"]
    assert ask("POST", "/users/ann/groups", {}).status == 400
    assert ask("POST", "/users/ann/groups", {"add": [f"g{number}" for number in range(101)]}).status == 400
    assert ask("POST", "/users/ann/disable", {"reason": "left"}).json()["state"] == "disabled"
    assert ask("POST", "/users/ann/enable").json()["state"] == "active"
    ask("POST", "/users/ann/password", {"password": "secret 3"})
    ask("POST", "/users/ann/password", {"password": ""})
    for verb, body in (("/password", {"password": "secret 4"}), ("/disable", None), ("/enable", None), ("/groups", {"add": ["x"]}), ("", None)):
        assert ask("DELETE" if verb == "" else "POST", "/users/nobody" + verb, body).status == 404
    for verb in ("/disable", "/enable"):
        ask("POST", "/users/ann" + verb, {"reason": 7})
    own_tokens(document, server)
    ask("DELETE", "/users/ann", {"why": "over"})
    ask("DELETE", "/users/ann", {"reason": "over"})
    assert ask("POST", "/first-administrator", {"token": "stele_" + "0" * 48, "name": "x", "password": "y"}).status == 403
    token = subprocess.run([sys.argv[1], "init", server.directory / "site"], capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    (server.directory / "site/data/first-administrator").rename(server.data / "first-administrator")
    assert ask("POST", "/first-administrator", {"token": token, "name": "x"}).status == 400
    assert ask("POST", "/first-administrator", {"token": token, "name": "bob", "password": "secret 5"}).status == 400
    assert ask("POST", "/first-administrator", {"token": token, "name": "admin", "password": "secret 6"}).json()["groups"] == ["administrators"]


def methods(document, server):
    """Other methods are refused, and Allow says what the document says."""
    for path in document.text["paths"]:
        target = "/api/v1" + path.format(name="team/app", tag="latest", id=1, cluster="eu", robot="ci", user="ann", mirror="far.example")
        documented = {method for method, known in document.operations if known == path}
        for method in METHODS:
            if method in documented:
                continue
            answer = request(server, method, target, body=b"")
            allowed = set((answer.get("Allow") or "").split(", "))
            if answer.status != 405 or allowed != documented:
                document.wrong.append(f"{method} {target} → {answer.status}, Allow: {answer.get('Allow')}; the document has {documented}")


def main():
    document = Document()
    served = len(TABLE.findall((ROOT / "api/admin/admin_handler.cpp").read_text()))
    if served != len(document.operations):
        document.wrong.append(f"the server has {served} operations, the document {len(document.operations)}")
    server = Server(Path(sys.argv[1]).resolve())
    policy = server.directory / "policy.yaml"
    policy.write_text("""version: 1
quotas: [{name: full, repositories: ["full/**"], storage: 1}]
tag_rules:
  - {name: releases, tags: ["@semver"], mutability: immutable}
  - {name: locks, tags: [locked], mutability: mutable, lock: {for: 1h, mode: governance}}
  - {name: archive, tags: [bound], mutability: immutable, lock: {for: 1h, mode: compliance}}
""")
    upstream = Upstream()
    server.config.write_text(f"policy: {policy}\ngc: {{lease: 1s}}\n"
                             f"mirrors: [{{name: far.example, upstreams: [\"http://127.0.0.1:9\"]}}, {upstream.settings}]\n")
    with server:
        session(document, server, policy, upstream)
        methods(document, server)
    with Server(Path(sys.argv[1]).resolve(), "auth: {robots: on, local_users: on}\n") as server:
        robots(document, server)
        users(document, server)
    # What cannot happen on a server that listens on loopback only, that deletes, whose clock never jumped.
    elsewhere = {("DELETE", "/repositories/{name}", 403), ("DELETE", "/repositories/{name}", 405),
                 ("POST", "/repositories/{name}/tags/{tag}/rollback", 403), ("POST", "/repositories/{name}/tags/{tag}/release", 403),
                 ("POST", "/repositories/{name}/tags/{tag}/release", 405), ("POST", "/clock/confirm", 200),
                 # A directory that does not answer, seen by tests/ldap.
                 ("GET", "/access/explain", 503),
                 # An upstream that answers, seen by tests/mirror/promotion.py.
                 ("POST", "/repositories/{name}/promote", 429), ("POST", "/repositories/{name}/promote", 502),
                 # The same by tests/mirror/warm.py.
                 ("POST", "/mirrors/fetches", 200), ("POST", "/mirrors/fetches", 403), ("POST", "/mirrors/fetches", 429),
                 ("POST", "/mirrors/fetches", 502)}
    said = {(method, path, int(status)) for (method, path), operation in document.operations.items() for status in operation["responses"]}
    for method, path, status in sorted(said - document.tried - elsewhere):
        document.wrong.append(f"{method} {path} → {status} is in the document and was never seen")
    for line in document.wrong:
        print("FAIL", line)
    print(f"openapi: {len(document.tried)} passed, {len(document.wrong)} failed")
    return 1 if document.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
