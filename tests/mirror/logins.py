"""A mirror where users are configured: who may pull what, and for what a token is good."""
import base64
import json
from urllib.parse import urlencode

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


TESTS = [a_login_for_docker_hub_is_as_good_as_none, a_token_for_a_name_is_good_for_the_default_mirrors_too]
