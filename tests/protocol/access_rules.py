"""Access rules over the wire. Callers are client certificates, each of which the rules know by its name. Each test_*
function is a test."""
import hashlib
import json
import re
import signal
import sqlite3
import subprocess

from common import check, manifest, routes_and_rights, sha256, tls_server
from wire import Caller, Server, eventually, push_blob, request

MIRROR = "sha256:" + 64 * "0"      # as routes_and_rights() names it
NAMES = {"remove": "delete"}
# What does as well as the right that a route names, by route.
ALSO = {
    ("GET", "admin"): {"audit"}, ("GET", "lifecycle"): {"audit"}, ("GET", "report-in-use"): {"audit"},
    ("POST", "lifecycle/plan"): {"audit"},      # it changes nothing (L20)
    ("GET", "hold"): {"audit", "release-hold"}, ("POST", "lifecycle/runs/1/dismiss"): {"approve"},
    ("GET", "mirrors"): {"approve"}, ("GET", f"mirrors/{MIRROR}/updates"): {"approve"},
}
OVER_THE_SERVER = ("/api/v1/clock", "/api/v1/gc", "/api/v1/lifecycle", "/api/v1/scrub")


def named(right):
    return NAMES.get(right, right.replace("_", "-"))


def with_rules(stele, rules, certificates):
    server, authority = tls_server(stele, client_ca=True)
    policy = server.directory / "policy.yaml"
    policy.write_text("version: 1\naccess_rules:\n" + rules)
    with server.config.open("a") as config:
        config.write(f"policy: {policy}\n")
    for serial, name in enumerate(certificates, 100):
        authority.issue(name, name, serial)
    return server, policy, {name: authority.client(name) for name in certificates}


def also(method, path, right):
    if right == "pull" and path.split("?")[0] in OVER_THE_SERVER:
        return {"audit"}
    if right == "pull" and method == "HEAD" and ("/manifests/" in path or "/blobs/" in path):
        return {"push"}
    return ALSO.get((method, path.removeprefix("/api/v1/")), set()) | ALSO.get((method, right), set())


def test_every_route_is_open_to_its_right_and_to_no_other(stele):
    """A matrix of every route and every right, from the tables of the source: a caller has one right, everywhere; another has it
    in a repository that is not asked for; one has nothing. What is denied is a 403 that names the right."""
    routes = routes_and_rights("admin") + routes_and_rights("oci")
    rights = sorted({named(right) for _, _, right in routes} - {"upkeep"} | {"audit"})
    check(len(rights) == 14, f"as many rights as docs/access.md has: {rights}")
    callers = ["nobody"] + rights
    rules = "".join(f'  - {{who: ["cert:{right}"], repositories: ["**"], allow: [{right}]}}\n' for right in rights)
    rules += f'  - {{who: ["cert:elsewhere"], repositories: ["elsewhere/**"], allow: [{", ".join(rights)}]}}\n'
    server, _, tls = with_rules(stele, rules, callers + ["elsewhere"])
    nothing_of_any = {"/v2/", "/v2/_oci/ext/discover"}
    narrowed = {("GET", "/v2/_catalog"), ("HEAD", "/v2/_catalog"), ("GET", "/api/v1/usage"), ("GET", "/api/v1/holds"),
                ("POST", "/api/v1/holds"), ("POST", "/api/v1/holds/1/release"), ("GET", "/api/v1/policy/explain"),
                ("POST", "/api/v1/repositories/app/promote")}
    bodies = {"/api/v1/repositories/app/promote": b'{"reference": "a", "to": "b"}'}
    with server:
        tried = 0
        by_name = {caller: Caller(server, tls[caller]) for caller in callers + ["elsewhere"]}
        for method, path, right in routes:
            body = None if method in ("GET", "HEAD") else bodies.get(path, b"{}")
            enough = {named(right)} | also(method, path, named(right))
            if path == "/api/v1/repositories/app/promote":
                enough = set()      # it takes promote there and pull here: tried below
            for caller in callers + ["elsewhere"]:
                what = f"{method} {path} for {caller}"
                answer = by_name[caller].request(method, path, body=body)
                open_to = caller in enough or path in nothing_of_any
                if caller == "elsewhere":
                    open_to = open_to or (method, path) in narrowed and path != "/api/v1/repositories/app/promote"
                tried += 1
                if path.startswith("/api/v1/account/tokens"):
                    # Nor does one open these: they take a user's own password.
                    check(answer.status == 403 and "api tokens are for who logs in with a password" in answer.message, what, answer)
                    continue
                if path == "/api/v1/first-administrator":
                    # No right opens it, and it asks for none: what it takes is the token of stele init.
                    check(answer.status == 403 and "the token for the first administrator" in answer.message, what, answer)
                    continue
                check((answer.status != 403) == open_to, what, answer)
                check(answer.status != 401, what, answer)
                if answer.status == 403 and method != "HEAD":
                    check(answer.code == "DENIED" and "needs the right" in answer.message, what, answer)
        check(tried == len(routes) * (len(rights) + 2) and tried > 900, f"{tried} tried")


def test_what_may_not_be_seen_is_as_if_it_were_not_there(stele):
    """I9: by name, by digest, by mount with `from` and without, in lists and their pages; in words and in status."""
    rules = '''  - {who: ["cert:dev"], repositories: ["team/**"], allow: [pull, push]}
  - {who: ["cert:dev"], repositories: ["team/hidden"], deny: [pull]}
  - {who: ["cert:pusher"], repositories: ["team/**"], allow: [push]}
  - {who: ["cert:all"], repositories: ["**"], allow: [pull, push, hold]}
'''
    server, policy, tls = with_rules(stele, rules, ["dev", "pusher", "all"])
    with server:
        secret = b"secret layer"
        digest = push_blob(server, "secret/app", secret, tls["all"])
        config = push_blob(server, "secret/app", b"{}", tls["all"])
        content = manifest(config)

        def put(repository, tag, caller):
            push_blob(server, repository, b"{}", tls[caller])
            return request(server, "PUT", f"/v2/{repository}/manifests/{tag}", ["Content-Type: application/vnd.oci.image.manifest.v1+json"],
                           content, tls=tls[caller])
        for repository in ("secret/app", "team/a", "team/hidden", "team/z", "zoo/app"):
            check(put(repository, "v1", "all").status == 201, repository)

        def same(method, there, absent, caller="dev"):
            one, other = (request(server, method, target, tls=tls[caller]) for target in (there, absent))
            check(one.status == other.status == 403, f"{method} {there}", one)
            words = [re.sub("secret/(app|no)", "NAME", answer.body.decode()) for answer in (one, other)]
            check(words[0] == words[1], f"the same words: {words}")
        for method, tail in (("GET", "manifests/v1"), ("HEAD", "manifests/v1"), ("GET", f"manifests/{sha256(content)}"), ("GET", f"blobs/{digest}"),
                             ("HEAD", f"blobs/{digest}"), ("GET", "tags/list"), ("GET", f"referrers/{digest}"), ("DELETE", "manifests/v1")):
            same(method, f"/v2/secret/app/{tail}", f"/v2/secret/no/{tail}")
        check(request(server, "GET", f"/v2/team/hidden/blobs/{config}", tls=tls["dev"]).status == 403, "a denial within what is allowed")

        # Mounts: 202 and an upload, as for a blob that nobody has.
        absent = "sha256:" + hashlib.sha256(b"never pushed").hexdigest()
        for origin in ("&from=secret/app", "", "&from=secret/no", "&from=team/hidden"):
            for wanted in (digest, absent):
                answer = request(server, "POST", f"/v2/team/a/blobs/uploads/?mount={wanted}{origin}", body=b"", tls=tls["dev"])
                check(answer.status == 202, f"mount {wanted[:12]}{origin}", answer)
        check(request(server, "POST", f"/v2/team/a/blobs/uploads/?mount={config}&from=team/z", body=b"", tls=tls["dev"]).status == 201, "from where it may")
        push_blob(server, "team/z", b"a layer of team/z", tls["dev"])
        layer = "sha256:" + hashlib.sha256(b"a layer of team/z").hexdigest()
        check(request(server, "POST", f"/v2/team/a/blobs/uploads/?mount={layer}", body=b"", tls=tls["dev"]).status == 201, "without from")
        check(request(server, "POST", f"/v2/zoo/app/blobs/uploads/?mount={digest}", body=b"", tls=tls["all"]).status == 201, "who may see it")
        check(request(server, "POST", f"/v2/team/a/blobs/uploads/?mount={layer}&from=team/z", body=b"", tls=tls["pusher"]).status == 202, "who may only push")
        # Whoever pushes may ask whether it is there, and gets no bytes.
        check(request(server, "HEAD", f"/v2/team/z/blobs/{layer}", tls=tls["pusher"]).status == 200, "HEAD by who pushes")
        check(request(server, "GET", f"/v2/team/z/blobs/{layer}", tls=tls["pusher"]).status == 403, "GET by who pushes")

        def pages(target, member, caller, cursor=None):
            names, count = [], 0
            while target:
                answer = request(server, "GET", target, tls=tls[caller])
                check(answer.status == 200, target, answer)
                check(b"secret" not in answer.body and "secret" not in str(answer.get("Link")) and "hidden" not in str(answer.fields), f"{caller} reads {target}", answer)
                names += answer.json()[member]
                count += 1
                check(count < 50, "a list without an end")
                if cursor:
                    target = answer.json()["next"] and f"{cursor}{answer.json()['next']}"
                else:
                    target = (answer.get("Link") or "").partition(">")[0].lstrip("<")
            return names
        check(pages("/v2/_catalog?n=1", "repositories", "dev") == ["team/a", "team/z"], "the catalog, by one")
        check(pages("/v2/_catalog", "repositories", "dev") == ["team/a", "team/z"], "the catalog")
        check(request(server, "GET", "/v2/_catalog?n=0", tls=tls["dev"]).json() == {"repositories": []}, "n=0")
        rows = pages("/api/v1/usage?n=1", "repositories", "dev", "/api/v1/usage?n=1&after=")
        check([row["repository"] for row in rows] == ["team/a", "team/z"], f"usage: {rows}")
        everything = request(server, "GET", "/v2/_catalog", tls=tls["all"]).json()["repositories"]
        check(everything == ["secret/app", "team/a", "team/hidden", "team/z", "zoo/app"], everything)
        check(request(server, "GET", "/v2/_catalog", tls=tls["pusher"]).status == 403, "nothing to be seen anywhere")

        # A right that is taken away is gone with the next request, on a connection that stays open too.
        policy.write_text("version: 1\naccess_rules:\n" + rules.replace('{who: ["cert:dev"], repositories: ["team/**"], allow: [pull, push]}',
                                                                         '{who: ["cert:dev"], repositories: ["zoo/**"], allow: [pull]}'))
        server.signal(signal.SIGHUP)
        eventually(lambda: request(server, "GET", "/v2/team/a/manifests/v1", tls=tls["dev"]).status == 403, "the right is gone")
        check(request(server, "GET", "/v2/zoo/app/manifests/v1", tls=tls["dev"]).status == 200, "the new right")


def test_a_long_list_of_what_may_not_be_seen_costs_a_bounded_request(stele):
    """I10: whoever may see one repository among tens of thousands finds it page by page; no page tells of the others."""
    server, _, tls = with_rules(stele, '  - {who: ["cert:one"], repositories: ["*/mine"], allow: [pull]}\n', ["one"])
    with server:
        server.stop()
        catalog = sqlite3.connect(server.data / "stele.db")
        columns = [row[1] for row in catalog.execute("PRAGMA table_info(repositories)")]
        check({"name", "created_at"} <= set(columns), columns)
        catalog.executemany("INSERT INTO repositories (name, created_at) VALUES (?, 0)", [(f"hidden/{i:06}",) for i in range(50_000)] + [("zzz/mine",)])
        catalog.commit()
        catalog.close()
        server.start()
        target, names, requests = "/v2/_catalog?n=10", [], 0
        while target:
            answer = request(server, "GET", target, tls=tls["one"])
            check(answer.status == 200 and "hidden" not in str(answer), target, answer)
            names += answer.json()["repositories"]
            requests += 1
            check(requests < 10, "a list without an end")
            target = (answer.get("Link") or "").partition(">")[0].lstrip("<")
        check(names == ["zzz/mine"] and requests == 3, f"{names} in {requests} requests")
        for position in ("~", "~00", "~" + 600 * "0"):
            check(request(server, "GET", f"/v2/_catalog?last={position}", tls=tls["one"]).status == 400, position)


def test_promotion_takes_pull_from_where_and_promote_to_where(stele):
    rules = '''  - {who: ["cert:both"], repositories: ["ci/**"], allow: [pull]}
  - {who: ["cert:both"], repositories: ["prod/**"], allow: [promote]}
  - {who: ["cert:unseeing"], repositories: ["prod/**"], allow: [promote]}
  - {who: ["cert:all"], repositories: ["**"], allow: [pull, push, hold, release-hold]}
  - {who: ["cert:lawyer"], repositories: ["prod/**"], allow: [hold, release-hold, pull]}
'''
    server, _, tls = with_rules(stele, rules, ["both", "unseeing", "all", "lawyer"])
    with server:
        config = push_blob(server, "ci/app", b"{}", tls["all"])
        put = request(server, "PUT", "/v2/ci/app/manifests/v1", ["Content-Type: application/vnd.oci.image.manifest.v1+json"], manifest(config), tls=tls["all"])
        check(put.status == 201, "pushed", put)

        def promote(caller, target):
            return request(server, "POST", "/api/v1/repositories/ci%2Fapp/promote", body=json.dumps({"reference": "v1", "to": target}).encode(), tls=tls[caller]).status
        check(promote("both", "prod/app") == 201, "promoted")
        check(promote("both", "ci/other") == 403 and promote("unseeing", "prod/app") == 403 and promote("all", "prod/app") == 403, "one of the two is not enough")

        def hold(caller, repository):
            body = {"name": "trial", "case": "C-7", "repository": repository}
            return request(server, "POST", "/api/v1/holds", body=json.dumps(body).encode(), tls=tls[caller])
        check(hold("lawyer", "ci/app").status == 403, "a hold elsewhere")
        there, mine = hold("all", "ci/app").json()["id"], hold("lawyer", "prod/app").json()["id"]
        seen = [entry["id"] for entry in request(server, "GET", "/api/v1/holds", tls=tls["lawyer"]).json()["holds"]]
        check(seen == [mine], f"only what he may see: {seen}")

        def release(caller, number):
            return request(server, "POST", f"/api/v1/holds/{number}/release", body=b'{"reason": "over"}', tls=tls[caller])
        strange, absent = release("lawyer", there), release("lawyer", 99)
        check(strange.status == absent.status == 404 and strange.message.replace(str(there), "99") == absent.message, "as if it were not there", strange)
        check(release("lawyer", mine).status == 200, "released")


def test_rules_bind_this_machine_too_and_not_the_socket(stele):
    """Where there are rules, a loopback address is no right; whoever administers the machine is never shut out."""
    server = Server(stele)
    policy = server.directory / "policy.yaml"
    policy.write_text('version: 1\naccess_rules:\n  - {who: [anonymous], repositories: ["public/**"], allow: [pull]}\n')
    server.config.write_text(f"policy: {policy}\n")
    local = {"address": server.data / "stele.sock"}
    with server:
        check(request(server, "GET", "/v2/").status == 200, "nobody can say who he is: no 401 that clients could not answer")
        for method, target in (("POST", "/v2/public/a/blobs/uploads/"), ("GET", "/v2/prod/a/tags/list"), ("GET", "/api/v1/policy"), ("POST", "/api/v1/gc/pause")):
            answer = request(server, method, target, body=b"" if method == "POST" else None)
            check(answer.status == 403 and answer.code == "DENIED", f"{method} {target}", answer)
        check(request(server, "GET", "/v2/public/a/tags/list").status == 404, "what is public and not there")
        check(request(server, "GET", "/api/v1/policy", **local).status == 200, "the socket")
        check(request(server, "GET", "/api/v1/access/explain?who=anonymous&action=push&repository=public/a", **local).json()["decided_by"] == "no rule", "explained")
        told = subprocess.run([stele, "access", "explain", "--who", "anonymous", "--action", "pull", "--repository", "public/a", "--data", server.data],
                              capture_output=True, text=True)
        check(told.returncode == 0 and "allowed by rule 1 (line 3), which speaks of anonymous in public/**" in told.stdout, told)
        told = subprocess.run([stele, "access", "explain", "--who", "user:releaser", "--action", "push", "--repository", "public/a", "--data", server.data],
                              capture_output=True, text=True)
        check(told.returncode == 3 and "no rule allows it" in told.stdout and "nearly: rule 1 (line 3): it speaks of anonymous there, but gives pull" in told.stdout, told)
