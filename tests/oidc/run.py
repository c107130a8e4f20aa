#!/usr/bin/env python3
"""CI jobs that log in with ID tokens, against an issuer that is started here (issuer.py).

  run.py STELE [NAME...]
"""
import glob
import hashlib
import hmac
import json
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/protocol"))
from issuer import AUDIENCE, Issuer, Key, b64   # noqa: E402
from logins import ALICE, ask, basic, bearer, claims, post, push, token_of, write   # noqa: E402
from common import check   # noqa: E402
from wire import Server, eventually, in_threads, request   # noqa: E402

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
CLAIMS = '{repository_owner_id: "99"}'


def rules(issuer, *more):
    return f"""version: 1
access_rules:
  - {{name: main, who: [{{oidc: "{issuer.url}", repository_id: 4711, ref: refs/heads/main}}], repositories: ["team/**"], allow: [pull, push]}}
  - {{name: people, who: ["user:alice"], repositories: ["**"], allow: [pull, push, admin]}}
""" + "".join(f"  - {rule}\n" for rule in more)


def server_for(stele, issuer, *, claims=CLAIMS, more="", policy=None, config=""):
    server = Server(stele)
    server.policy, server.users = server.directory / "policy.yaml", server.directory / "users"
    server.policy.write_text(policy or rules(issuer))
    server.users.write_text(f"alice:{ALICE}\n")
    server.config.write_text(f"""policy: {server.policy}
auth:
  htpasswd: {{file: {server.users}}}
  oidc:
    - {{name: ci, issuer: "{issuer.url}", audience: {AUDIENCE}, claims: {claims}{more}}}
{config}""")
    return server


def refused(server, token, words, what):
    """By name, in each way that a token can be shown."""
    for answer in (request(server, "GET", "/v2/", basic("ci", token)), ask(server, basic("anything", token)), request(server, "GET", "/v2/", bearer(token)),
                   post(server, grant_type="password", username="x", password=token),
                   post(server, grant_type=EXCHANGE, subject_token=token, subject_token_type=TYPE + "id_token")):
        check(answer.status == 401 and words in answer.message, f"{what}: {words!r}", answer)


def test_a_job_logs_in_with_its_id_token_and_has_the_rights_of_its_claims(stele):
    """A11: under any user name, as Basic, as Bearer and at /token."""
    with Issuer() as issuer, server_for(stele, issuer) as server:
        token = issuer.token()
        for user in ("anything", "<token>", "oauth2accesstoken", "alice"):
            check(push(server, basic(user, token), "team/app").status == 201, user)
        check(push(server, bearer(token), "team/app").status == 201, "as Bearer")
        short = token_of(ask(server, basic("ci", token), "repository:team/app:pull,push"))
        check(push(server, bearer(short), "team/app").status == 201, "with a token of ours")
        form = post(server, grant_type="password", username="ci", password=token, scope="repository:team/app:pull,push")
        check(push(server, bearer(token_of(form)), "team/app").status == 201, "a form")
        for other in ({"ref": "refs/heads/feature"}, {"repository_id": "4712"}, {"ref": None}, {"repository_id": 47110}):
            answer = request(server, "GET", "/v2/team/app/manifests/1", basic("ci", issuer.token(**other)))
            check(answer.status == 403 and "access_rules" in answer.message, f"{other}", answer)
        check(push(server, basic("ci", issuer.token(repository_id=4711)), "team/app").status == 201, "a number")
        answer = request(server, "GET", "/v2/other/tags/list", basic("ci", token))
        check(answer.status == 403, "elsewhere", answer)
        check(issuer.asked == ["/.well-known/openid-configuration", "/keys"], f"asked once for all of it: {issuer.asked}")
        log = server.logged()
        check("oidc:ci:repo:octo/app:ref:refs/heads/main" in log, "the log names who")
        check(token not in log and token.split(".")[2] not in log and short not in log, "and no token")
        metrics = request(server, "GET", "/metrics").body.decode()
        check('stele_logins_total{method="id_token",result="accepted"}' in metrics, "counted")
        check(server.alive(), "alive")


def test_what_is_wrong_with_a_token_is_said_and_it_is_refused(stele):
    key, other, curve = Key("first"), Key("first"), Key("curve", "ES256")
    with Issuer(key, curve) as issuer, server_for(stele, issuer) as server:
        check(push(server, basic("ci", issuer.token(curve)), "team/app").status == 201, "ES256")
        now = int(time.time())
        good = issuer.token()
        head, body, signature = good.split(".")
        pem = key.public_pem()
        confused = b64({"typ": "JWT", "alg": "HS256", "kid": "first"}) + "." + body
        confused += "." + b64(hmac.new(pem, confused.encode(), hashlib.sha256).digest())
        text = json.dumps(issuer.claims())
        cases = {
            "alg none": (b64({"typ": "JWT", "alg": "none"}) + "." + body + ".", 'its algorithm is "none"'),
            "the public key as a secret": (confused, 'its algorithm is "HS256"'),
            "alg and key swapped": (issuer.token(key, {"alg": "ES256"}), 'has no key "first" for ES256'),
            "an algorithm that is not for this": (issuer.token(key, {"alg": "RS512"}), 'its algorithm is "RS512"'),
            "another's key under the same name": (issuer.token(other), "its signature is not that of the issuer ci"),
            "changed": (head + "." + b64(issuer.claims(repository_id="1")) + "." + signature, "its signature is not that of the issuer ci"),
            "its own key": (issuer.token(other, {"jwk": other.jwk()}), "it brings a key or its address along (jwk)"),
            "its own address": (issuer.token(other, {"jku": f"{issuer.url}/theirs"}), "(jku)"),
            "its own certificate": (issuer.token(other, {"x5c": ["MII"]}), "(x5c)"),
            "crit": (issuer.token(key, {"crit": ["exp"]}), "an extension that is not known here (crit)"),
            "another kind": (issuer.token(key, {"typ": "at+jwt"}), "another kind of token"),
            "a path for a name": (issuer.token(key, {"kid": "../../keys/first"}), 'has no key "../../keys/first" for RS256'),
            "a list for a name": (issuer.token(key, {"kid": ["first"]}), "its kid is no text"),
            "no name and two keys": (issuer.token(key, {"kid": None, "alg": "RS256"}), 'has no key "" for RS256'),
            "a key twice": (issuer.token(body=text[:-1] + ', "repository_id": "4711"}'), 'has the key "repository_id" twice'),
            "too long": (issuer.token(filler="x" * 13000), "it is longer than 16 KiB"),
            "another audience": (issuer.token(aud="https://github.com/octo"), f'and not for "{AUDIENCE}"'),
            "a part of the audience": (issuer.token(aud=AUDIENCE + ".evil"), f'and not for "{AUDIENCE}"'),
            "no audience": (issuer.token(aud=None), "it has no aud"),
            "expired": (issuer.token(exp=now - 90), "it expired at "),
            "no end": (issuer.token(exp=None), "it never expires"),
            "an end that is no time": (issuer.token(exp="tomorrow"), "its exp is no time"),
            "not yet": (issuer.token(nbf=now + 300), "it is good from "),
            "of the future": (issuer.token(iat=now + 300), "in the future"),
            "somebody else's": (issuer.token(repository_owner_id="98"), "only with certain values of repository_owner_id"),
            "no subject": (issuer.token(sub=None), "its sub is not one line"),
            "a subject of two lines": (issuer.token(sub="a\nb"), "its sub is not one line"),
        }
        for what, (token, words) in cases.items():
            if what == "too long":
                answer = post(server, grant_type=EXCHANGE, subject_token=token, subject_token_type=TYPE + "jwt")
                check(answer.status == 401 and words in answer.message, what, answer)
            else:
                refused(server, token, words, what)
        check(push(server, basic("ci", good), "team/app").status == 201, "the good one is good all the while")
        for late in (issuer.token(exp=now - 20), issuer.token(nbf=now + 30, iat=now + 30)):
            check(request(server, "GET", "/v2/", basic("ci", late)).status == 200, "clocks may differ by a minute")
        # A27: 12 KB pass through headers, tokens and back.
        long = issuer.token(filler="x" * 8700)
        check(12000 < len(long) < 16384, f"{len(long)}")
        short = token_of(ask(server, basic("ci", long), "repository:team/app:pull,push"))
        for who in (basic("ci", long), bearer(long), bearer(short)):
            check(push(server, who, "team/app").status == 201, "a long token")
        check(issuer.count() <= 2, f"names of keys that are not there ask once more, and then no more: {issuer.asked}")


def test_nothing_is_asked_for_a_token_that_cannot_be_good(stele):
    """SSRF: a foreign issuer, whatever it is, and tokens of the right one that are for somebody else or expired."""
    with Issuer() as issuer, Issuer() as foreign, server_for(stele, issuer) as server:
        for url in (foreign.url, issuer.url + "/", issuer.url.replace("127.0.0.1", "localhost"), "http://169.254.169.254", "stele", "https://token.actions.githubusercontent.com"):
            refused(server, foreign.token(iss=url), f'its issuer "{url}" is not one of those in auth.oidc' if url != "stele" else "", url)
        refused(server, issuer.token(aud="other"), "and not for", "another audience")
        refused(server, issuer.token(exp=int(time.time()) - 1000), "it expired at", "expired")
        check(foreign.asked == [] and issuer.asked == [], f"{foreign.asked} {issuer.asked}")
        refused(server, issuer.token(repository_owner_id="1"), "certain values", "another owner")
        header, body, signature = issuer.token(repository_owner_id="1").split(".")
        unsigned = ".".join((header, body, "A" * len(signature)))
        refused(server, unsigned, "its signature is not that", "another owner, not signed: nobody learns which are accepted")


def test_redirects_and_key_addresses_lead_nowhere_they_may_not(stele):
    """SSRF, on each hop: metadata addresses, private ones, other documents."""
    configuration = "/.well-known/openid-configuration"
    with Issuer() as issuer, Issuer() as elsewhere:
        for what, answers, words in (
                ("keys at the cloud's", {configuration: (200, {}, {"issuer": issuer.url, "jwks_uri": "http://169.254.169.254/latest"})}, "a cloud's metadata address"),
                ("keys in a private network", {configuration: (200, {}, {"issuer": issuer.url, "jwks_uri": "http://10.1.2.3/keys"})}, "a private address"),
                ("a redirect there", {"/keys": (302, {"Location": "http://192.168.1.1/keys"}, b"")}, "a private address"),
                ("a file", {configuration: (200, {}, {"issuer": issuer.url, "jwks_uri": "file:///etc/passwd"})}, "no http or https URL"),
                ("another issuer's document", {configuration: (302, {"Location": elsewhere.url + configuration}, b"")}, "is that of the issuer"),
                ("an error", {"/keys": (500, {}, b"")}, "answers 500"),
                ("no set", {"/keys": (200, {}, b"<html>")}, "is not valid JSON"),
                ("no key for this", {"/keys": (200, {}, {"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "first"}]})}, "none of the set's keys"),
                ("too much", {"/keys": (200, {}, b" " * (2 << 20))}, "more than the limit"),
                ("a redirect in a circle", {"/keys": (302, {"Location": "/keys"}, b"")}, "redirects more than")):
            issuer.answers = answers
            with server_for(stele, issuer) as server:
                answer = request(server, "GET", "/v2/", basic("ci", issuer.token()))
                check(answer.status == 503 and words in answer.message, what, answer)
                check(request(server, "GET", "/v2/", basic("alice", "correct horse")).status == 200, "users log in all the same")


def test_keys_are_kept_replaced_and_go_on_while_the_issuer_is_down(stele):
    first, second, third = Key("first"), Key("second"), Key("third")
    with Issuer(first) as issuer, server_for(stele, issuer) as server:
        issuer.stop()
        answer = request(server, "GET", "/v2/", basic("ci", issuer.token()))
        check(answer.status == 503 and "cannot be had" in answer.message, "nobody knows its keys", answer)
        check(request(server, "GET", "/v2/", basic("alice", "correct horse")).status == 200, "users log in all the same")
        issuer.start()
        eventually(lambda: request(server, "GET", "/v2/", basic("ci", issuer.token())).status == 200, "the issuer is back")
        issuer.keys = [first, second]
        check(request(server, "GET", "/v2/", basic("ci", issuer.token(second))).status == 200, "a new key is asked for at once")
        check(issuer.count() == 2, f"{issuer.asked}")
        for _ in range(5):
            refused(server, issuer.token(third), 'has no key "third"', "a key that is nobody's")
        check(issuer.count() == 2, "and not for each of them")
        issuer.stop()
        for key in (first, second):
            check(request(server, "GET", "/v2/", basic("ci", issuer.token(key))).status == 200, "without the issuer")


def test_one_question_for_all_who_wait_and_none_waits_for_a_silent_issuer_for_long(stele):
    first, second = Key("first"), Key("second")
    with Issuer(first) as issuer, server_for(stele, issuer) as server:
        token = issuer.token()
        answers = in_threads(24, lambda number: request(server, "GET", "/v2/", basic(f"job {number}", token)).status)
        check(answers == [200] * 24 and issuer.count() == 1, f"{answers} {issuer.asked}")
        # It has stopped talking: who has a key that is known goes on at once, who has not is told so.
        issuer.speaks.clear()
        waiting = issuer.token(second)
        def job(number):
            if number == 0:
                return request(server, "GET", "/v2/", basic("ci", waiting))
            eventually(lambda: len(issuer.asked) == 3, "it is asked")
            return [request(server, "GET", "/v2/", basic("ci", token)).status for _ in range(20)]
        unknown, others = in_threads(2, job)
        check(unknown.status == 401 and 'has no key "second"' in unknown.message and others == [200] * 20, f"{others}", unknown)


def test_a_stop_does_not_wait_for_an_issuer(stele):
    with Issuer() as issuer, server_for(stele, issuer) as server:
        issuer.speaks.clear()
        def job(number):
            if number == 0:
                return request(server, "GET", "/v2/", basic("ci", issuer.token())).status
            eventually(lambda: issuer.asked, "it is asked")
            check(server.stop() == 0, "a clean stop")
        check(in_threads(2, job)[0] == 503 and not server.alive(), "who waited was told")


def test_rules_go_by_what_stays_and_not_by_the_subject(stele):
    """A12: `sub` has had several forms, and a repository that was removed and made again has another id."""
    with Issuer() as issuer, server_for(stele, issuer) as server:
        for sub in ("repo:octo/app:ref:refs/heads/main", "repo:octo@99/app@4711:ref:refs/heads/main", "repo:renamed/app:environment:prod"):
            check(push(server, basic("ci", issuer.token(sub=sub)), "team/app").status == 201, sub)
        check(request(server, "GET", "/v2/team/app/manifests/1", basic("ci", issuer.token(repository_id="4712"))).status == 403, "made again")
        write(server.policy, rules(issuer, f'{{name: stars, who: [{{oidc: "{issuer.url}", ref: "refs/heads/release-*", repository_id: 4711}}], repositories: ["team/**"], allow: [pull]}}'))
        eventually(lambda: request(server, "GET", "/v2/team/app/manifests/1", basic("ci", issuer.token(ref="refs/heads/release-1"))).status == 200, "a star")
        for ref in ("refs/heads/release-1/evil", "refs/heads/release-1:x", "xrefs/heads/release-1", "refs/heads/Release-1"):
            check(request(server, "GET", "/v2/team/app/manifests/1", basic("ci", issuer.token(ref=ref))).status == 403, ref)


def test_access_explain_takes_an_id_token_at_its_word(stele):
    with Issuer() as issuer:
        server = server_for(stele, issuer)
        def explain(token, *words):
            done = subprocess.run([stele, "access", "explain", "--policy", server.policy, "--repository", "team/app", "--action", "push", "--id-token", "-", *words],
                                  input=token + "\n", capture_output=True, text=True, timeout=60)
            return done.returncode, done.stdout + done.stderr
        code, said = explain(issuer.token())
        check(code == 0 and f"oidc:{issuer.url} may push in team/app" in said and "allowed by rule main" in said, said)
        code, said = explain(issuer.token(ref="refs/heads/x", sub="a=b"))
        check(code == 3 and "no rule allows it" in said and "nearly: rule main" in said, said)
        code, said = explain("no token")
        check(code == 2 and "there is no ID token in -" in said, f"{code} {said}")
        code, said = explain(issuer.token(), "--who", "anonymous")
        check(code == 2 and "--who" in said, f"{code} {said}")
        server.remove()


def test_the_recipes_of_the_documentation_are_what_the_program_takes(stele):
    def run(*words):
        done = subprocess.run([stele, *map(str, words)], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr
    page = (ROOT / "docs/ci.md").read_text()
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.S | re.M)
    configurations, policies = [[one for one in blocks if one.startswith(first)] for first in ("auth:", "access_rules:")]
    check(len(configurations) >= 2 and len(policies) >= 3, f"{len(configurations)} {len(policies)}")
    with Issuer() as issuer:
        server = server_for(stele, issuer)
        for text in configurations:
            server.config.write_text(text)
            code, said = run("config", "check", server.config)
            check(code == 0, f"{text}\n{said}")
        for text in policies:
            server.policy.write_text("version: 1\n" + text)
            code, said = run("policy", "check", server.policy)
            check(code == 0 and "stays with one project" not in said, f"{text}\n{said}")
        server.remove()


def recipe(issuer, *changes):
    """The rules that docs/ci.md has for an issuer of that name, for another address and other numbers."""
    page = (ROOT / "docs/ci.md").read_text()
    found = [one for one in re.findall(r"^```yaml\n(access_rules:\n.*?)^```", page, re.S | re.M) if f'oidc: "{issuer}"' in one]
    check(len(found) == 1, f"docs/ci.md has rules for {issuer}")
    text = "version: 1\n" + found[0]
    for before, after in changes:
        check(before in text, f"{before} in {text}")
        text = text.replace(before, after)
    return text


def gitlab_claims(issuer, **more):
    """What GitLab 17 says of a job: ids are texts, ref has no refs/heads/, lists and an object among them."""
    now = int(time.time())
    return {"namespace_id": "72", "namespace_path": "team", "project_id": "123", "project_path": "team/app", "user_id": "1", "user_login": "ann", "user_email": "ann@example.com",
            "user_access_level": "developer", "user_identities": [{"provider": "github", "extern_uid": "2435"}, {"provider": "bitbucket", "extern_uid": "ann"}],
            "pipeline_id": "574", "pipeline_source": "push", "job_id": "302", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
            "groups_direct": ["team/leads"], "environment": "prod", "environment_protected": "false", "deployment_tier": "production", "runner_id": 1,
            "runner_environment": "self-hosted", "sha": 40 * "7", "project_visibility": "private", "ci_config_ref_uri": "gitlab.example.com/team/app//.gitlab-ci.yml@refs/heads/main",
            "ci_config_sha": 40 * "7", "jti": "235b3a54-b797-45c7-ae9a-f72d7bc6ef5b", "iss": issuer.url, "iat": now, "nbf": now - 5, "exp": now + 3600,
            "sub": "project_path:team/app:ref_type:branch:ref:main", "aud": AUDIENCE, **more}


def test_a_job_of_gitlab_logs_in_by_the_recipe(stele):
    with Issuer() as issuer:
        server = server_for(stele, issuer, claims='{namespace_id: "72"}', policy=recipe("https://gitlab.example.com", ("https://gitlab.example.com", issuer.url)))
        with server:
            def job(**more):
                return basic("gitlab", issuer.token(body=json.dumps(gitlab_claims(issuer, **more))))
            check(push(server, job(), "team/app").status == 201, "the job of the recipe")
            check(push(server, job(project_id=123, ref_protected=True), "team/app").status == 201, "numbers and truth values as such")
            token = token_of(ask(server, job(), "repository:team/app:pull,push", more="&offline_token=true&client_id=docker"))
            check(push(server, bearer(token), "team/app").status == 201, "as docker does")
            for what, other in {"another project": {"project_id": "124"}, "another branch": {"ref": "feature"}, "not protected": {"ref_protected": "false"},
                                "another project of the name": {"project_id": "124", "project_path": "team/app"}, "no protection said": {"ref_protected": None}}.items():
                answer = request(server, "GET", "/v2/team/app/manifests/1", job(**other))
                check(answer.status == 403 and "oidc:ci:project_path:team/app" in answer.message, what, answer)
            check(request(server, "GET", "/v2/", job(namespace_id="73")).status == 401, "another namespace is not accepted at all")
            check(request(server, "GET", "/v2/team/other/manifests/1", job()).status == 403, "elsewhere")


def service_account_claims(**more):
    """A projected volume's token: the audience is a list, and who it is stands in an object."""
    now = int(time.time())
    return {"aud": [AUDIENCE], "exp": now + 3607, "iat": now, "nbf": now, "iss": "https://kubernetes.default.svc.cluster.local", "jti": "aed34954-b33a-4142-b1ec-389d6bbb4936",
            "kubernetes.io": {"namespace": "build", "node": {"name": "node-1", "uid": "646e7c5e"}, "pod": {"name": "kaniko-x2", "uid": "5e0bd49b"},
                              "serviceaccount": {"name": "builder", "uid": "6d3f0000-aaaa"}, **more.pop("inside", {})},
            "sub": "system:serviceaccount:build:builder", **more}


def test_a_service_account_of_kubernetes_logs_in_by_the_recipe(stele):
    """By the keys of a file: the cluster's address is none that this registry could ask."""
    cluster = "https://kubernetes.default.svc.cluster.local"
    key = Key("DHeZlMtbkK0")
    with Issuer(key) as issuer:
        server = server_for(stele, issuer, policy=recipe("https://kubernetes.default.svc", ("https://kubernetes.default.svc", cluster), ("6d3f…", "6d3f0000-aaaa")))
        file = server.directory / "cluster-keys.json"
        file.write_text(json.dumps(issuer.key_set()))
        server.config.write_text(re.sub(r"- \{name: ci.*", f'- {{name: cluster, issuer: "{cluster}", audience: {AUDIENCE}, jwks_file: {file}, claims: {{kubernetes.io/namespace: build}}}}', server.config.read_text()))
        with server:
            def token(**more):
                return issuer.token(header={"typ": None}, body=json.dumps(service_account_claims(**more)))     # as the API server signs them
            for who in (basic("any", token()), bearer(token()), basic("any", token(aud=["https://kubernetes.default.svc.cluster.local", AUDIENCE]))):
                check(push(server, who, "team/app").status == 201, "the service account of the recipe")
            short = bearer(token_of(ask(server, basic("any", token()), "repository:team/app:pull,push")))
            check(push(server, short, "team/app").status == 201, "as kaniko does")
            check("oidc:cluster:system:serviceaccount:build:builder" in server.logged(), "its name in the log")
            made_anew = token(inside={"serviceaccount": {"name": "builder", "uid": "6d3f0000-bbbb"}})
            answer = request(server, "GET", "/v2/team/app/manifests/1", basic("any", made_anew))
            check(answer.status == 403, "a service account of the name that was made anew is another one", answer)
            refused(server, token(inside={"namespace": "other"}, sub="system:serviceaccount:other:builder"), "only with certain values of kubernetes.io/namespace", "another namespace")
            refused(server, token(aud=["https://kubernetes.default.svc.cluster.local"]), f'and not for "{AUDIENCE}"', "a token for the cluster itself")
            refused(server, token(aud=[]), f'and not for "{AUDIENCE}"', "for nobody")
            forged = service_account_claims()
            forged["kubernetes.io/namespace"] = "build"     # beside the object: two ways to one name
            answer = request(server, "GET", "/v2/", basic("any", issuer.token(body=json.dumps(forged))))
            check(answer.status == 401, "a name that can be read in two ways is nobody's", answer)
        check(issuer.asked == [], f"nobody was asked: {issuer.asked}")


def test_keys_of_a_file_need_no_network_and_are_read_again(stele):
    first, second = Key("first"), Key("second")
    with Issuer(first) as issuer:
        server = server_for(stele, issuer)
        file = server.directory / "keys.json"
        file.write_text("{}")
        server.config.write_text(server.config.read_text().replace("claims:", f"jwks_file: {file}, claims:"))
        check("it is no set of keys" in server.refuses(), "a bad file ends the start")
        file.write_text(json.dumps(issuer.key_set()))
        with server:
            check(push(server, basic("ci", issuer.token()), "team/app").status == 201, "by the file")
            refused(server, issuer.token(second), 'has no key "second"', "not in it")
            write(file, "nonsense")
            server.wait_log("the changed keys are not used")
            check(push(server, basic("ci", issuer.token()), "team/app").status == 201, "the keys before go on")
            issuer.keys = [second]
            write(file, json.dumps(issuer.key_set()))
            eventually(lambda: request(server, "GET", "/v2/", basic("ci", issuer.token(second))).status == 200, "the new file")
            refused(server, issuer.token(first), 'has no key "first"', "a key that is taken away")
        check(issuer.asked == [], f"{issuer.asked}")


def test_a_session_lives_on_when_the_id_token_has_expired_and_ends_with_the_rule(stele):
    """A10, P17: docker login, a long build, a push."""
    with Issuer() as issuer, server_for(stele, issuer) as server:
        token = issuer.token(exp=int(time.time()) - 50)   # ten seconds are left of the leeway
        got = ask(server, basic("ci", token), "repository:team/app:pull,push", more="&offline_token=true&client_id=docker").json()
        refresh = got["refresh_token"]
        said = claims(refresh)
        check(said["exp"] - said["iat"] in (3599, 3600, 3601), f"an hour: {said}")
        eventually(lambda: request(server, "GET", "/v2/", basic("ci", token)).status == 401, "the ID token is over")
        renewed = post(server, grant_type="refresh_token", refresh_token=refresh, scope="repository:team/app:pull,push")
        check("refresh_token" not in renewed.json(), "the session does not get longer", renewed)
        short = token_of(renewed)
        check(push(server, bearer(short), "team/app").status == 201, "the push")
        for user in ("ci", "<token>", ""):
            check(push(server, basic(user, refresh), "team/app").status == 201, "the session as a password, for clients that keep one")
        check(token_of(ask(server, basic("ci", refresh), "repository:team/app:pull", more="&offline_token=true")), "at /token, too")
        check("refresh_token" not in ask(server, basic("ci", refresh), more="&offline_token=true").json(), "which makes no other session")
        check(request(server, "GET", "/v2/", bearer(refresh)).status == 401, "it is no token for requests")
        listed = request(server, "GET", "/api/v1/tokens", address=server.data / "stele.sock").json()["tokens"]
        check([one["subject"] for one in listed] == ["oidc:ci:repo:octo/app:ref:refs/heads/main"], f"listed: {listed}")
        write(server.policy, rules(issuer).replace("ref: refs/heads/main", "ref: refs/heads/release"))
        eventually(lambda: request(server, "GET", "/v2/team/app/manifests/1", bearer(short)).status == 403, "the rule is gone, and the right with it")
        check(request(server, "GET", "/v2/team/app/manifests/1", basic("ci", refresh)).status == 403, "of the session, too")
        write(server.policy, rules(issuer))
        eventually(lambda: request(server, "GET", "/v2/team/app/manifests/1", bearer(short)).status == 200, "it is back")
        local = server.data / "stele.sock"
        check(request(server, "DELETE", f"/api/v1/tokens/{listed[0]['id']}", address=local).status in (200, 204), "revoked")
        for answer in (request(server, "GET", "/v2/", bearer(short)), request(server, "GET", "/v2/", basic("ci", refresh)), post(server, grant_type="refresh_token", refresh_token=refresh)):
            check(answer.status == 401 and "it is revoked" in answer.message, "at once", answer)
        check(not any(one in server.logged() for one in (refresh, short)), "no token in the log")


def test_a_session_ends_and_says_so(stele):
    """A10: the server's clock is set forward."""
    libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    check(libraries, "libfaketime is needed and not installed: apt-get install libfaketime")
    with Issuer() as issuer:
        server = server_for(stele, issuer, more=", session: 2h")
        offset, wrapper = server.directory / "offset", server.directory / "stele"
        offset.write_text("+0")
        wrapper.write_text(f"#!/bin/sh\nexec env LD_PRELOAD={libraries[0]} FAKETIME_TIMESTAMP_FILE={offset} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 {stele} \"$@\"\n")
        wrapper.chmod(0o755)
        server.stele = wrapper
        with server:
            got = ask(server, basic("ci", issuer.token()), "repository:team/app:pull,push", more="&offline_token=true").json()
            refresh = got["refresh_token"]
            write(offset, "+7100")
            short = token_of(post(server, grant_type="refresh_token", refresh_token=refresh, scope="repository:team/app:pull,push"))
            check(push(server, bearer(short), "team/app").status == 201, "after almost two hours")
            write(offset, "+7300")   # the last token would hold for some minutes more
            name = "the CI session of oidc:ci:repo:octo/app:ref:refs/heads/main ended at "
            for answer in (post(server, grant_type="refresh_token", refresh_token=refresh), request(server, "GET", "/v2/", basic("ci", refresh)),
                           request(server, "GET", "/v2/team/app/manifests/1", bearer(short))):
                check(answer.status == 401 and name in answer.message, "said", answer)


def test_what_the_configuration_takes_away_ends_at_the_restart(stele):
    with Issuer() as issuer, server_for(stele, issuer) as server:
        got = ask(server, basic("ci", issuer.token()), "repository:team/app:pull", more="&offline_token=true").json()
        server.stop()
        was = server.config.read_text()
        for text, words in ((was.replace(CLAIMS, '{repository_owner_id: "98"}'), "certain values"), (was.replace(issuer.url, "https://other.example"), "not one of those"),
                            (was[:was.index("  oidc:")], "no ID tokens")):
            server.config.write_text(text)
            server.start()
            for answer in (request(server, "GET", "/v2/", bearer(got["token"])), post(server, grant_type="refresh_token", refresh_token=got["refresh_token"])):
                check(answer.status == 401 and words in answer.message, words, answer)
            server.stop()
        server.config.write_text(was.replace(CLAIMS, CLAIMS + ", session: 0"))
        server.start()
        check("refresh_token" not in ask(server, basic("ci", issuer.token()), more="&offline_token=true").json(), "no sessions")


def test_an_id_token_is_exchanged(stele):
    """RFC 8693"""
    with Issuer() as issuer, server_for(stele, issuer) as server:
        form = {"grant_type": EXCHANGE, "subject_token": issuer.token(), "subject_token_type": TYPE + "id_token", "scope": "repository:team/app:pull,push", "audience": "stele"}
        answer = post(server, **form)
        check(answer.status == 200 and answer.get("Cache-Control") == "no-store", "exchanged", answer)
        said = answer.json()
        check(said["issued_token_type"] == TYPE + "access_token" and said["token_type"] == "Bearer" and said["expires_in"] == 300, f"{said}")
        check(push(server, bearer(said["access_token"]), "team/app").status == 201, "the push")
        session = post(server, **form, requested_token_type=TYPE + "refresh_token").json()
        check(session["issued_token_type"] == TYPE + "refresh_token" and session["expires_in"] == 3600 and session["token_type"] == "N_A", f"{session}")
        check(push(server, basic("ci", session["access_token"]), "team/app").status == 201, "as a password")
        check(token_of(post(server, grant_type="refresh_token", refresh_token=session["access_token"])), "as a refresh token")
        check(post(server, **form, access_type="offline").json()["refresh_token"], "both")
        for change, status in (({"subject_token_type": "saml"}, 400), ({"subject_token": ""}, 401), ({"subject_token": "correct horse"}, 401), ({"requested_token_type": "x"}, 400),
                               ({"actor_token": "x"}, 400), ({"subject_token": said["access_token"]}, 401), ({"subject_token": session["access_token"]}, 401)):
            answer = post(server, **(form | change))
            check(answer.status == status, f"{change}", answer)


test_a_session_ends_and_says_so.preloads = True


def main(functions):
    """[--sanitized] STELE [NAME...]: a library cannot be put before a program that has a sanitizer in it."""
    words = sys.argv[1:]
    sanitized = words[0] == "--sanitized"
    stele, *names = words[1:] if sanitized else words
    stele = str(Path(stele).resolve())
    tests = [one for name, one in functions.items() if name.startswith("test_") and (not names or any(part in name for part in names))]
    if sanitized:
        for test in tests:
            if hasattr(test, "preloads"):
                print(f"not with a sanitizer in it: {test.__name__[5:]}", flush=True)
        tests = [test for test in tests if not hasattr(test, "preloads")]
    failed = 0
    for test in tests:
        started = time.monotonic()
        try:
            test(stele)
            print(f"ok   {test.__name__[5:]} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception:   # the others are run all the same
            failed += 1
            print(f"FAIL {test.__name__[5:]}\n{traceback.format_exc()}", flush=True)
    print(f"oidc: {len(tests) - failed} passed, {failed} failed")
    return 1 if failed or not tests else 0


if __name__ == "__main__":
    sys.exit(main(globals()))
