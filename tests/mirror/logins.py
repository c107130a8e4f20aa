"""A mirror where users are configured: who may pull what, and for what a token is good."""
import base64
import json
import re
from urllib.parse import urlencode

from registry import digest_of, image
from world import World

USERS = "alice:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"    # correct horse
RULES = """version: 1
access_rules:
  - {name: mirrored, who: [anonymous], repositories: ["docker.io/library/**"], allow: [pull]}
  - {name: not-these, who: [anonymous], repositories: ["docker.io/library/secret"], deny: [pull]}
"""


def with_users(binary, directory, name):
    place = directory / f"{name}-access"
    place.mkdir()
    (place / "users").write_text(USERS)
    (place / "policy.yaml").write_text(RULES)
    return World(binary, directory, name, default=True,
                 mirror_config=f"auth: {{htpasswd: {{file: {place}/users}}}}\npolicy: {place}/policy.yaml\n")


def token(world, *scopes):
    answer = world.get("/token?" + urlencode([("service", "stele"), *(("scope", scope) for scope in scopes)]))
    return {"Authorization": "Bearer " + json.loads(answer.body)["token"]}


def a_token_for_a_name_is_good_for_the_default_mirrors_too(checks, binary, directory):
    """As dockerd asks: for library/demo, whose registry it does not say."""
    with with_users(binary, directory, "default") as world:
        demo, secret = world.image(), world.image("library/secret")
        good = token(world, "repository:library/demo:pull")
        for path in ("/v2/library/demo", "/v2/docker.io/library/demo"):
            answer = world.get(f"{path}/manifests/1", headers=good)
            checks(f"{path}: the image", answer.status == 200 and answer.body == demo.manifest, answer)
            answer = world.get(f"{path}/blobs/{demo.layer}", headers=good)
            checks(f"{path}: its layer", answer.status == 200 and answer.body == demo.blobs[demo.layer], answer.status)
        other = world.get("/v2/library/other/manifests/1", headers=good)
        checks("another image needs a token of its own", other.status == 401 and 'error="insufficient_scope"' in other.headers["WWW-Authenticate"], other)
        pushes = world.get("/v2/library/demo/manifests/1", headers=token(world, "repository:library/demo:push"))
        checks("who asks for pushing gets no pulling", pushes.status == 401, pushes)
        denied = world.get("/v2/library/secret/manifests/1", headers=token(world, "repository:library/secret:pull"))
        checks("a deny rule stands", denied.status == 401 and secret.manifest not in denied.body, denied)
        asked = [str(seen) for seen in world.hub.all_seen()]
        checks("and nothing was asked upstream for it", asked and not any("secret" in one for one in asked), asked)


def a_login_for_docker_hub_is_as_good_as_none(checks, binary, directory):
    """dockerd sends the mirror what it has for Docker Hub (moby#33071)."""
    with with_users(binary, directory, "hub-login") as world:
        demo = world.image()
        world.mirror.push_blob("team/app", b"{}")
        hubs = {"Authorization": "Basic " + base64.b64encode(b"hub-user:hub-secret").decode()}
        scopes = urlencode([("scope", scope) for scope in ("repository:docker.io/library/demo:pull", "repository:team/app:pull",
                                                           "repository:library/demo:pull,push", "repository:docker.io/library/secret:pull")])
        for round_ in range(30):     # more than would lock an account
            answer = world.get("/token?" + scopes, headers=hubs)
            if answer.status != 200:
                break
        checks("a token all the same, however often", answer.status == 200, answer)
        granted = json.loads(base64.urlsafe_b64decode(json.loads(answer.body)["token"].split(".")[1] + "=="))["access"]
        checks("for pulling what everybody may pull from the mirror, and for nothing else",
               granted == [{"type": "repository", "name": "docker.io/library/demo", "actions": ["pull"]}], granted)
        good = {"Authorization": "Bearer " + json.loads(answer.body)["token"]}
        pulled = world.get("/v2/library/demo/manifests/1", headers=good)
        checks("the image", pulled.status == 200 and pulled.body == demo.manifest, pulled)
        for target in ("/token?scope=repository:team/app:pull", "/token?service=stele", "/token?scope=repository:docker.io/library/secret:pull",
                       "/v2/", "/v2/docker.io/library/demo/manifests/1"):
            refused = world.get(target, headers=hubs)
            checks(f"{target}: 401", refused.status == 401 and "WWW-Authenticate" in refused.headers, refused)
        log = world.mirror.said()
        checks("the secret is in no log", "hub-secret" not in log and hubs["Authorization"][6:] not in log)


def logins_for_docker_hub_keep_nobody_from_logging_in(checks, binary, directory):
    """A hundred developers behind one address, each with a login for Docker Hub; and it is no way to guess."""
    def as_user(name, secret):
        return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}

    def subject(answer):
        return json.loads(base64.urlsafe_b64decode(json.loads(answer.body)["token"].split(".")[1] + "=="))["sub"]
    mirrored, own = "/token?scope=repository:library/demo:pull", "/token?scope=repository:team/app:pull"
    alice = as_user("alice", "correct horse")
    with with_users(binary, directory, "hub-logins") as world:
        checks("a login of this registry's is one here, too", subject(world.get(mirrored, headers=alice)) == "user:alice")
    with with_users(binary, directory, "hub-logins-of-many") as world:
        answers = [world.get(mirrored, headers=as_user(f"hub-user-{number}", f"hub-secret-{number}")) for number in range(101)]
        checks("each gets a token for what everybody may pull", all(one.status == 200 and subject(one) == "anonymous" for one in answers))
        checks("then the right password for this registry's own logs in", subject(world.get(own, headers=alice)) == "user:alice")
    with with_users(binary, directory, "hub-guesses") as world:
        for number in range(11):
            answer = world.get(mirrored, headers=as_user("alice", f"guess {number}"))
            checks("a guess gets what nobody's login gets", answer.status == 200 and subject(answer) == "anonymous", answer)
        checks("after ten the right one does, too: guesses learn nothing", subject(world.get(mirrored, headers=alice)) == "anonymous")
        checks("and they count for the account", world.get(own, headers=alice).status == 429)


def logins_by_a_form_are_the_same(checks, binary, directory):
    """POST /token with grant_type=password, as containerd asks, for what everybody may pull from the mirror."""
    def by_form(world, name, secret, scope):
        return world.mirror.request("POST", "/token", urlencode({"grant_type": "password", "service": "stele", "username": name, "password": secret, "scope": scope}),
                                    {"Content-Type": "application/x-www-form-urlencoded"})

    def subject(answer):
        return json.loads(base64.urlsafe_b64decode(json.loads(answer.body)["token"].split(".")[1] + "=="))["sub"]
    mirrored, own = "repository:library/demo:pull", "repository:team/app:pull"
    with with_users(binary, directory, "hub-forms") as world:
        checks("a login of this registry's is one here, too", subject(by_form(world, "alice", "correct horse", mirrored)) == "user:alice")
    with with_users(binary, directory, "hub-forms-of-many") as world:
        answers = [by_form(world, f"hub-user-{number}", f"hub-secret-{number}", mirrored) for number in range(101)]
        checks("each gets a token for what everybody may pull", all(one.status == 200 and subject(one) == "anonymous" for one in answers), answers[0])
        checks("then the right password for this registry's own logs in", subject(by_form(world, "alice", "correct horse", own)) == "user:alice")
        refused = by_form(world, "hub-user", "hub-secret", own)
        checks("which is the only one that does", refused.status == 401, refused)
        refused = by_form(world, "hub-user", "hub-secret", "repository:docker.io/library/secret:pull")
        checks("as for what not everybody may pull from the mirror", refused.status == 401, refused)
    with with_users(binary, directory, "hub-form-guesses") as world:
        for number in range(11):
            answer = by_form(world, "alice", f"guess {number}", mirrored)
            checks("a guess gets what nobody's login gets", answer.status == 200 and subject(answer) == "anonymous", answer)
        checks("after ten the right one does, too: guesses learn nothing", subject(by_form(world, "alice", "correct horse", mirrored)) == "anonymous")
        checks("and they count for the account", by_form(world, "alice", "correct horse", own).status == 429)


def scope_in(answer):
    found = re.search(r'^Bearer .*scope="([^"]*)"', answer.headers["WWW-Authenticate"] or "")
    return found and found[1]


def who_is_asked_to_log_in_is_asked_for_what_the_mirror_keeps(checks, binary, directory):
    """A5, P14: by ?ns= and by a mirror's path a client names upstream's repository; rights speak of the one here."""
    place = directory / "named-access"
    place.mkdir()
    (place / "users").write_text(USERS)
    (place / "policy.yaml").write_text("version: 1\naccess_rules:\n  - {who: [\"user:alice\"], repositories: [\"docker.io/**\", \"team/**\"], allow: [pull]}\n")
    with World(binary, directory, "asked-for", mirror_config=f"auth: {{htpasswd: {{file: {place}/users}}}}\npolicy: {place}/policy.yaml\n"
               "limits: {address_requests: 100000}\n") as world:
        demo = world.image()
        alice = {"Authorization": "Basic " + base64.b64encode(b"alice:correct horse").decode()}
        for target in ("/v2/library/demo/manifests/1?ns=docker.io", "/docker.io/v2/library/demo/manifests/1", "/v2/docker.io/library/demo/manifests/1"):
            for wrong in ({}, {"Authorization": "Bearer a.b.c"}):
                asked = world.get(target, headers=wrong)
                checks(f"{target}: 401 with the scope that will do", asked.status == 401 and scope_in(asked) == "repository:docker.io/library/demo:pull", asked)
                checks(f"{target}: by a registry", asked.headers["Docker-Distribution-API-Version"] == "registry/2.0", asked)
            answer = world.get("/token?" + urlencode([("service", "stele"), ("scope", scope_in(asked))]), headers=alice)
            good = {"Authorization": "Bearer " + json.loads(answer.body)["token"]}
            pulled = world.get(target, headers=good)
            checks(f"{target}: the image", pulled.status == 200 and pulled.body == demo.manifest, pulled)
        ping = world.get("/docker.io/v2/")
        checks("a mirror's own /v2/ asks for a token, too", ping.status == 401 and ping.headers["WWW-Authenticate"].startswith("Bearer ") and
               ping.headers["Docker-Distribution-API-Version"] == "registry/2.0", ping)
        own = world.get("/v2/team/app/manifests/1")
        checks("what is this registry's own is called as in the path", scope_in(own) == "repository:team/app:pull", own)


def a_stranger_does_not_learn_whether_a_name_is_here(checks, binary, directory):
    """What names no mirror may be this registry's own or the default mirror's; who may pull neither is told the same of both, to the byte."""
    place = directory / "stranger-access"
    place.mkdir()
    (place / "users").write_text(USERS + USERS.replace("alice", "carol"))
    (place / "policy.yaml").write_text("version: 1\naccess_rules:\n  - {who: [\"user:alice\"], repositories: [\"library/**\", \"docker.io/**\"], allow: [pull, push]}\n")

    def of(user):
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:correct horse".encode()).decode()}

    def token_for(user, *scopes):
        answer = world.get("/token?" + urlencode([("service", "stele"), *(("scope", scope) for scope in scopes)]), headers=of(user))
        return {"Authorization": "Bearer " + json.loads(answer.body)["token"]}
    with World(binary, directory, "strangers", default=True, mirror_config=f"auth: {{htpasswd: {{file: {place}/users}}}}\npolicy: {place}/policy.yaml\n"
               "limits: {address_requests: 100000}\n") as world:
        demo = world.image("library/away")
        config = b"{}"
        created = world.mirror.request("POST", f"/v2/library/here/blobs/uploads/?digest={digest_of(config)}", body=config, headers=of("alice"))
        pushed = world.mirror.request("PUT", "/v2/library/here/manifests/1", body=image((digest_of(config), 2)),
                                      headers={**of("alice"), "Content-Type": "application/vnd.oci.image.manifest.v1+json"})
        checks("a repository of this registry's own", created.status == pushed.status == 201, pushed)
        asked = len(world.hub.all_seen())
        strangers = {"nobody": {}, "who has no rights": of("carol"), "his token": token_for("carol", "repository:library/here:pull", "repository:library/away:pull"),
                     "a broken token": {"Authorization": "Bearer a.b.c"}, "a token for something else": token_for("alice", "repository:library/other:pull")}
        for who, headers in strangers.items():
            for method, rest in (("GET", "manifests/1"), ("HEAD", "manifests/1"), ("GET", f"manifests/{demo.digest}"), ("GET", f"blobs/{demo.layer}"), ("HEAD", f"blobs/{demo.layer}"),
                                 ("GET", "tags/list"), ("GET", f"referrers/{demo.digest}"), ("DELETE", "manifests/1"), ("POST", "blobs/uploads/")):
                seen = {}
                for name in ("here", "away"):
                    answer = world.get(f"/v2/library/{name}/{rest}", method, headers)
                    fields = sorted((key, value.replace(name, "NAME")) for key, value in answer.headers.items() if key not in ("Date", "X-Request-Id"))
                    seen[name] = answer.status, answer.body.replace(name.encode(), b"NAME"), fields
                    if who == "nobody" and (method, rest) == ("GET", "manifests/1"):
                        checks("the scope that will do for either", scope_in(answer) == f"repository:library/{name}:pull repository:docker.io/library/{name}:pull", answer)
                checks(f"{who}: {method} {rest}: the same words", seen["here"] == seen["away"] and seen["here"][0] in (401, 403), seen)
        checks("nothing was asked upstream", len(world.hub.all_seen()) == asked)
        for name, body in (("here", image((digest_of(config), 2))), ("away", demo.manifest)):
            for headers in (of("alice"), token_for("alice", f"repository:library/{name}:pull")):
                pulled = world.get(f"/v2/library/{name}/manifests/1", headers=headers)
                checks(f"{name}: who may pull gets it", pulled.status == 200 and pulled.body == body, pulled)


def every_way_in_counts_as_a_request(checks, binary, directory):
    with World(binary, directory, "counted", mirror_config="limits: {address_requests: 40}\n") as world:
        statuses = [world.get("/docker.io/v2/").status for _ in range(60)]
        checks("a mirror's path is limited as any other", 429 in statuses and statuses[0] == 200, statuses)
        checks("probes are not", world.get("/livez").status == 200)


TESTS = [a_stranger_does_not_learn_whether_a_name_is_here, who_is_asked_to_log_in_is_asked_for_what_the_mirror_keeps, every_way_in_counts_as_a_request, a_login_for_docker_hub_is_as_good_as_none, logins_for_docker_hub_keep_nobody_from_logging_in, logins_by_a_form_are_the_same,
         a_token_for_a_name_is_good_for_the_default_mirrors_too]
