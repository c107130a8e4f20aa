"""Users behind a proxy with its example of deploy/: where they are sent for a token, what they do with it, and a token of 12 KB, which is
what a CI's ID token may have."""
import base64
import json
import sys
from pathlib import Path

from registry import IMAGE, Registry, digest_of, image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "oidc"))
from issuer import AUDIENCE, Issuer   # noqa: E402

PASSWORD = "correct horse"
ALICE = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"   # the same, as cheap as it comes


def users_behind(proxy_class, stele, directory, port, name, check):
    with Issuer() as issuer, Registry(stele, directory / "people") as registry:
        (registry.directory / "users").write_text(f"alice:{ALICE}\n")
        (registry.directory / "policy.yaml").write_text('version: 1\naccess_rules:\n  - {who: ["user:alice"], repositories: ["team/**"], allow: [pull, push]}\n'
                                                        f'  - {{who: [{{oidc: "{issuer.url}", repository_id: "4711"}}], repositories: ["team/**"], allow: [pull, push]}}\n')
        (registry.directory / "stele.yaml").write_text(f"""external_url: https://{name}:{port}
trusted_proxies: [127.0.0.1]
log: {{access: on, level: info}}
policy: {registry.directory}/policy.yaml
auth:
  htpasswd: {{file: {registry.directory}/users}}
  oidc: [{{name: ci, issuer: "{issuer.url}", audience: {AUDIENCE}, claims: {{repository_owner_id: "99"}}}}]
""")
        registry.start()
        with proxy_class(directory / "people-proxy", registry.address, port) as proxy:
            token = by_password(proxy, f"https://{name}:{port}", check)
            push(proxy, ("-H", f"Authorization: Bearer {token}"), "a user with his token", check)
            status, _, body = proxy.curl("/v2/other/app/tags/list", "-u", f"alice:{PASSWORD}")
            check(status == 403 and b"access_rules" in body, "the rules hold behind the proxy", f"{status} {body[:200]}")
            by_long_token(proxy, issuer, check)
        said = registry.said()
        check("user:alice" in said and "oidc:ci:" in said, "the log says who it was", said[-500:])
        check(PASSWORD not in said and token not in said, "and no secret")


def by_password(proxy, url, check):
    """The way of every client: refused, told where to go, a token."""
    status, headers, _ = proxy.curl("/v2/team/app/manifests/1")
    challenge = headers.get("www-authenticate", "")
    check(status == 401 and challenge.startswith(f'Bearer realm="{url}/token"') and 'scope="repository:team/app:pull"' in challenge, "the realm is where the client came from", challenge)
    asked = f"{url}/token?service=stele&scope=repository:team/app:pull,push"
    check(proxy.curl(asked, "-u", "alice:wrong")[0] == 401, "a wrong password gets none")
    status, _, body = proxy.curl(asked, "-u", f"alice:{PASSWORD}")
    check(status == 200, "the right one gets a token", f"{status} {body[:200]}")
    status, _, body = proxy.curl(f"{url}/token", "--data-urlencode", "grant_type=password", "--data-urlencode", "username=alice", "--data-urlencode", f"password={PASSWORD}",
                                 "--data-urlencode", "scope=repository:team/app:pull,push", "--data-urlencode", "service=stele", "--data-urlencode", "client_id=curl")
    check(status == 200, "a form gets one, too", f"{status} {body[:200]}")
    return json.loads(body or b"{}").get("access_token", "none")


def push(proxy, who, what, check):
    config = what.encode()
    octets = ("-H", "Content-Type: application/octet-stream")
    status, *_ = proxy.curl(f"/v2/team/app/blobs/uploads/?digest={digest_of(config)}", "-X", "POST", *octets, *who, body=config)
    check(status == 201, f"{what}: a blob", status)
    content = image((digest_of(config), len(config)))
    status, *_ = proxy.curl("/v2/team/app/manifests/1", "-X", "PUT", "-H", f"Content-Type: {IMAGE}", *who, body=content)
    check(status == 201, f"{what}: an image", status)
    status, _, pulled = proxy.curl("/v2/team/app/manifests/1", *who)
    check(status == 200 and pulled == content, f"{what}: pulled", status)
    check(proxy.curl("/v2/team/app/manifests/1")[0] == 401, f"{what}: not by a stranger")


def by_long_token(proxy, issuer, check):
    """Shown as it is, as a password, and at /token, whose answer is as long and is shown again."""
    token = issuer.token(filler="x" * 8700)
    basic = base64.b64encode(f"ci:{token}".encode()).decode()
    check(12000 < len(token) < 16384, "12 KB", len(token))
    push(proxy, ("-H", f"Authorization: Bearer {token}"), "an ID token of 12 KB", check)
    push(proxy, ("-H", f"Authorization: Basic {basic}"), "as the password", check)
    status, _, body = proxy.curl("/token?service=stele&scope=repository:team/app:pull,push", "-H", f"Authorization: Basic {basic}")
    check(status == 200, "a token for it", f"{status} {body[:200]}")
    push(proxy, ("-H", f"Authorization: Bearer {json.loads(body or b'{}').get('token')}"), "with that token", check)
