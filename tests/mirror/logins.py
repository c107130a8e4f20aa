"""A mirror where users are configured: who may pull what, and for what a token is good."""
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


TESTS = [a_token_for_a_name_is_good_for_the_default_mirrors_too]
