"""Whom a mirror trusts with what: the lines SSRF and credential leaks of the security page, by name."""
import base64

from accounts import environment
from hub import status
from world import World, code, eventually

ACCOUNT = "robot:c4nary-upstream"


def everything_said(world):
    return world.mirror.log.read_text(errors="replace")


def the_account_goes_to_a_named_realm(checks, binary, directory):
    """M1 (a), P1."""
    with World(binary, directory, "named", account=ACCOUNT, credentials=ACCOUNT,
               more="token_realm: {hub.token_host}") as world:
        demo = world.image()
        checks("the pull succeeds", not (wrong := world.pull(demo)), wrong)
        shown = {seen.where for seen in world.hub.all_seen() if seen.authorization.startswith("Basic")}
        checks("and nobody but the token service saw the account", shown == {"token"}, shown)
        checks("the CDN saw no Authorization", not any(seen.authorization for seen in world.hub.all_seen() if seen.where == "cdn"))
        checks("the password is in no log", "c4nary" not in everything_said(world))


def the_password_may_come_from_the_environment(checks, binary, directory):
    with environment(HUB_PASSWORD=ACCOUNT.split(":")[1]), \
            World(binary, directory, "env-password", account=ACCOUNT,
                  more='username: robot\npassword_env: HUB_PASSWORD\nallow: ["**"]\ntoken_realm: "{hub.token_host}"') as world:
        demo = world.image()
        checks("the pull succeeds", not (wrong := world.pull(demo)), wrong)
        checks("the password is in no log", "c4nary" not in everything_said(world))


def a_foreign_realm_gets_no_account(checks, binary, directory):
    """M1 (b): anonymous is tried; then 403 that names the key."""
    with World(binary, directory, "foreign", account=ACCOUNT, credentials=ACCOUNT) as world:
        world.image()
        answer = world.manifest()
        checks("403, and the message names token_realm",
               answer.status == 403 and code(answer) == "DENIED" and "token_realm" in answer.message, answer)
        checks("an anonymous token was asked for", world.hub.count("token") >= 1, world.hub.all_seen())
        checks("no Basic left for anybody", not any("Basic" in seen.authorization for seen in world.hub.all_seen()))


def basic_at_the_registry_itself(checks, binary, directory):
    with World(binary, directory, "basic", account=ACCOUNT, credentials=ACCOUNT) as world:
        world.hub.basic = True
        demo = world.image()
        checks("the pull succeeds", not (wrong := world.pull(demo)), wrong)
        checks("the CDN saw no Authorization", not any(seen.authorization for seen in world.hub.all_seen() if seen.where == "cdn"))


def a_clients_login_stays_here(checks, binary, directory):
    with World(binary, directory, "client") as world:
        demo = world.image()
        for secret in ("Bearer c4nary-client", ):
            world.get("/v2/docker.io/library/demo/manifests/1", headers={"Authorization": secret})
            world.get(f"/v2/docker.io/library/demo/blobs/{demo.layer}", headers={"Authorization": secret})
        checks("upstream never sees it", not any("c4nary" in str(seen.headers) for seen in world.hub.all_seen()))
        world.pull(demo)
        secret = base64.b64encode(b"someone:c4nary-client").decode()
        world.get("/v2/docker.io/library/demo/manifests/2", headers={"Authorization": f"Basic {secret}"})
        checks("nor a Basic one", not any(secret in str(seen.headers) for seen in world.hub.all_seen()))
        checks("nor the log", "c4nary" not in everything_said(world) and secret not in everything_said(world))


def a_token_that_is_refused_is_replaced_once(checks, binary, directory):
    with World(binary, directory, "replaced") as world:
        demo = world.image()
        world.manifest()
        world.hub.revoke_tokens()
        answer = world.blob(demo.layer)
        checks("the pull succeeds with a new token", answer.body == demo.blobs[demo.layer], answer.status)
        checks("one more token was asked for", world.hub.count("token") == 2, world.hub.all_seen())


REFUSED = ["http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/latest", "http://10.0.0.1/x",
           "http://192.168.1.1/x", "http://172.16.0.1/x", "http://100.64.0.1/x", "http://[fe80::1]/x", "http://[fd00::1]/x",
           "http://0.0.0.0/x", "http://[::ffff:10.0.0.1]/x", "http://[64:ff9b::a00:1]/x", "http://0x0a000001/x",
           "http://167772161/x", "http://012.0.0.1/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1/x"]


def one_mirror_each(binary, directory, name, targets):
    """A refusal leaves the upstream alone for a while: each target has a mirror, and so a breaker, of its own."""
    names = [f"m{number}.example" for number in range(len(targets))]
    return World(binary, directory, name, names=names), [f"{called}/library/demo" for called in names]


def redirects_into_the_network_are_refused(checks, binary, directory):
    """SSRF: redirects, each form of address."""
    world, repositories = one_mirror_each(binary, directory, "ssrf", REFUSED)
    with world:
        demo = world.image()
        for target, repository in zip(REFUSED, repositories):
            answer = world.blob(demo.layer, repository, method="HEAD")
            checks(f"{target}: there is something to be had", answer.status == 200, answer)
            world.hub.fault("registry", "GET.*blobs", status(307, {"Location": target}))
            answer = world.blob(demo.layer, repository)
            world.hub.mend()
            checks(f"{target}: refused by the rule", answer.status == 503 and
                   ("refused" in answer.message or "no http" in answer.message), answer)
            checks(f"{target}: the message says no path", "meta-data" not in answer.message, answer)


def realms_in_the_network_are_refused(checks, binary, directory):
    """SSRF: realms."""
    world, repositories = one_mirror_each(binary, directory, "realms", REFUSED)
    with world:
        world.image()
        for target, repository in zip(REFUSED, repositories):
            world.hub.realm = target
            answer = world.manifest(repository=repository)
            checks(f"{target} as realm: refused by the rule", answer.status in (502, 503) and
                   ("refused" in answer.message or "token service" in answer.message), answer)


def what_is_denied_asks_nobody(checks, binary, directory):
    with World(binary, directory, "deny", more="allow: [\"library/**\"]\ndeny: [library/secret]") as world:
        for name in ("docker.io/library/secret", "docker.io/bitnami/redis"):
            answer = world.manifest(repository=name)
            checks(f"{name}: 403", answer.status == 403 and code(answer) == "DENIED", answer)
        checks("upstream saw nothing", not world.hub.all_seen(), world.hub.all_seen())


TESTS = [the_account_goes_to_a_named_realm, the_password_may_come_from_the_environment, a_foreign_realm_gets_no_account, basic_at_the_registry_itself,
         a_clients_login_stays_here, a_token_that_is_refused_is_replaced_once, redirects_into_the_network_are_refused,
         realms_in_the_network_are_refused, what_is_denied_asks_nobody]
