#!/usr/bin/env python3
"""Holds docs/api/openapi.yaml against a running server: nothing is served that it does not have, nothing is in it that is
not served, and every answer has the form that it says.

  run.py STELE
"""
import json
import re
import signal
import sys
import time
from pathlib import Path

import jsonschema
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/protocol"))
from scenarios import manifest, put_manifest, sha256   # noqa: E402
from wire import Server, eventually, push_blob, request   # noqa: E402

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
                if re.fullmatch(re.sub(r"\\\{name\\\}", ".+", re.sub(r"\\\{(tag|id)\\\}", "[^/]+", re.escape(known))), path)]
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


def session(document, server, policy):
    """Every operation, with what it answers when all is well and when not."""
    def ask(method, target, body=None, local=False):
        sent = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        fields = ["Content-Type: application/json"] if sent else []
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
    ask("POST", repository + "/promote", {"reference": "latest", "to": "prod/app", "tags": ["2.0.0", "stable"]})
    ask("POST", repository + "/promote", {"reference": "1.0.0", "to": "prod/app", "tags": ["2.0.0"]})
    ask("POST", repository + "/promote", {"reference": "never", "to": "prod/app"})
    ask("POST", repository + "/promote", {"reference": "latest", "two": "prod/app"})
    ask("GET", repository + "/locks")
    ask("POST", repository + "/tags/locked/lock", {"until": "2099-01-01T00:00:00Z"})
    ask("POST", repository + "/tags/locked/lock", {"until": "2001-01-01T00:00:00Z"})
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
    ask("GET", "/policy")
    ask("GET", "/policy/explain?repository=team/app&tag=1.0.0")
    ask("GET", "/policy/explain?repository=team/app&tag=bound")
    ask("GET", "/policy/explain?repository=nobody&tag=never")
    ask("GET", "/policy/explain?repository=NOBODY&tag=never")
    tried = ask("POST", "/policy/try", b'version: 1\ntag_rules: [{name: all, tags: ["**"], mutability: immutable}]\n').json()
    assert tried["tags_changed"] > 0 and tried["bindings_refused"] > 0, tried
    ask("POST", "/policy/try?days=0", b"version: 1\n")
    ask("POST", "/policy/try", b"version: 2\n")
    ask("POST", "/policy/try?days=-1", b"version: 1\n")
    ask("GET", "/clock")
    ask("POST", "/clock/confirm")
    ask("POST", "/backup")
    ask("POST", "/backup", local=True)
    ask("POST", "/sweep?grace_seconds=0")
    ask("POST", "/sweep?grace_seconds=0", local=True)
    ask("POST", "/sweep?grace_seconds=x", local=True)
    ask("DELETE", "/repositories/nobody")
    assert put_manifest(server, "scratch", "t", manifest(push_blob(server, "scratch", b"{}"), "x")).status == 201
    ask("DELETE", "/repositories/scratch")
    policy.write_text('version: 1\ntag_rules: [{name: frozen, tags: ["**"], mutability: immutable}]\n')
    server.signal(signal.SIGHUP)
    eventually(lambda: "frozen" in request(server, "GET", "/api/v1/policy/explain?repository=a&tag=b").body.decode(), "the policy")
    ask("POST", repository + "/tags/latest/rollback", {})


def methods(document, server):
    """Other methods are refused, and Allow says what the document says."""
    for path in document.text["paths"]:
        target = "/api/v1" + path.format(name="team/app", tag="latest", id=1)
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
tag_rules:
  - {name: releases, tags: ["@semver"], mutability: immutable}
  - {name: locks, tags: [locked], mutability: mutable, lock: {for: 1h, mode: governance}}
  - {name: archive, tags: [bound], mutability: immutable, lock: {for: 1h, mode: compliance}}
""")
    server.config.write_text(f"policy: {policy}\n")
    with server:
        session(document, server, policy)
        methods(document, server)
    # What cannot happen on a server that listens on loopback only, that deletes, whose clock never jumped.
    elsewhere = {("DELETE", "/repositories/{name}", 403), ("DELETE", "/repositories/{name}", 405),
                 ("POST", "/repositories/{name}/tags/{tag}/rollback", 403), ("POST", "/clock/confirm", 200)}
    said = {(method, path, int(status)) for (method, path), operation in document.operations.items() for status in operation["responses"]}
    for method, path, status in sorted(said - document.tried - elsewhere):
        document.wrong.append(f"{method} {path} → {status} is in the document and was never seen")
    for line in document.wrong:
        print("FAIL", line)
    print(f"openapi: {len(document.tried)} passed, {len(document.wrong)} failed")
    return 1 if document.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
