"""Where a mirror's login comes from: credential helpers, Amazon's and Google's token flows. Their services are stand-ins that
take nothing that is not byte for byte what the documentation asks for; no secret is seen by anybody else, nor logged."""
import base64
import contextlib
import hashlib
import hmac
import json
import os
import re
import subprocess
import time
import urllib.parse

from stand_in import Handler, StandIn
from world import World, code, eventually

KEY_ID, SECRET, SESSION = "AKIDSTANDIN", "s3cr3t/K+standin", "session//token=="


class Service(StandIn):
    """A stand-in on loopback: `answer(request)` gives (status, body) and may raise; all requests are remembered."""

    def __init__(self, answer):
        self.requests, self.wrong = [], []
        service = self

        class Asked(Handler):
            def do_POST(self):
                self.body = self.rfile.read(int(self.headers["Content-Length"] or 0)).decode()
                service.requests.append(self)
                try:
                    status, text = answer(self)
                except AssertionError as wrong:
                    service.wrong.append(str(wrong))
                    status, text = 400, str(wrong)
                self.answer(status, text.encode())
            do_GET = do_PUT = do_POST
        super().__init__(Asked)


@contextlib.contextmanager
def environment(**variables):
    """The server's own, without what this machine may have of the clouds."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("AWS_", "GOOGLE_", "GCE_")):
            del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def must(holds, what):
    if not holds:
        raise AssertionError(what)


def signature(request, secret, region, service):
    """Signature Version 4, by what the request says that it signed."""
    found = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=(\S+), "
                         r"Signature=([0-9a-f]{64})", request.headers["Authorization"] or "")
    must(found, f"no signature: {request.headers['Authorization']}")
    key_id, day, its_region, its_service, names, claimed = found.groups()
    stamp = request.headers["X-Amz-Date"]
    must((its_region, its_service) == (region, service) and stamp.startswith(day), f"scope: {found.groups()}")
    must(abs(time.time() - time.mktime(time.strptime(stamp, "%Y%m%dT%H%M%SZ")) + time.timezone) < 300, f"time: {stamp}")
    names = names.split(";")
    must(names == sorted(names) and {"host", "x-amz-date"} <= set(names), f"signed: {names}")
    for name in request.headers:
        must(not name.lower().startswith("x-amz-") or name.lower() in names, f"{name} is not signed")
    fields = "".join(f"{name}:{request.headers[name].strip()}\n" for name in names)
    canonical = "\n".join((request.command, request.path, "", fields, ";".join(names), hashlib.sha256(request.body.encode()).hexdigest()))
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{day}/{region}/{service}/aws4_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + secret.encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    must(hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest() == claimed, "the signature is wrong")
    return key_id


class Ecr(Service):
    """Gives password after password; `left`: how long each is good, in seconds."""

    def __init__(self, left=12 * 3600, session=SESSION):
        self.left, self.session, self.given = left, session, 0
        super().__init__(self.token)

    def token(self, request):
        must(request.command == "POST" and request.path == "/" and request.body == "{}", f"{request.command} {request.path} {request.body}")
        must(request.headers["X-Amz-Target"] == "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken", "target")
        must(request.headers["Content-Type"] == "application/x-amz-json-1.1", "type")
        must(request.headers["X-Amz-Security-Token"] == self.session, "session token")
        must(signature(request, SECRET, "eu-test-1", "ecr") == KEY_ID, "key")
        self.given += 1
        return 200, json.dumps({"authorizationData": [{
            "authorizationToken": base64.b64encode(self.account.encode()).decode(), "expiresAt": time.time() + self.left,
            "proxyEndpoint": "https://elsewhere.example"}]})

    @property
    def account(self):
        return f"AWS:c4nary-{self.given}"

    def variables(self):
        return {"AWS_REGION": "eu-test-1", "AWS_ENDPOINT_URL_ECR": self.url + "/"}


KEYS = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": SESSION}
ECR = 'cloud_login: ecr\nallow: ["**"]'


def secrets_stay(checks, world, *secrets):
    said = world.mirror.said() + world.mirror.command("mirror", "status", "--json").stdout
    encoded = [base64.b64encode(secret.encode()).decode() for secret in secrets]
    checks("no log and no status holds a secret", not [secret for secret in [*secrets, *encoded] if secret in said])
    checks("the CDN saw no Authorization", not any(seen.authorization for seen in world.hub.all_seen() if seen.where == "cdn"))
    checks("nobody upstream saw the keys", not any(secret in str(seen.headers) + seen.target for secret in secrets[:1]
                                                   for seen in world.hub.all_seen()))


def ecr_world(binary, directory, name, ecr):
    world = World(binary, directory, name, account="AWS:c4nary-1", more=ECR)
    world.hub.basic, world.hub.expired = True, 403
    return world


def ecrs_token_is_asked_for_and_renewed(checks, binary, directory):
    """P12: ECR says 403 when its token has expired."""
    with Ecr() as ecr, environment(**KEYS, **ecr.variables()), ecr_world(binary, directory, "ecr", ecr) as world:
        demo, other = world.image(), world.image(tag="2", label="other")
        checks("nothing is asked for at the start", ecr.requests == [])
        checks("a pull", not (wrong := world.pull(demo)), (wrong, ecr.wrong))
        checks("one signed request, taken as it was", (len(ecr.requests), ecr.wrong) == (1, []), ecr.wrong)
        world.hub.account = "AWS:c4nary-2"
        checks("403 for the old password: the pull succeeds", not (wrong := world.pull(other, "2")), (wrong, ecr.wrong))
        checks("with one more", len(ecr.requests) == 2, ecr.requests)
        world.hub.account = "AWS:never"
        answers = [world.manifest(tag) for tag in ("a", "b", "c")]
        checks("an account that is not good: 403", all((answer.status, code(answer)) == (403, "DENIED") for answer in answers), answers)
        checks("and not a login for each request", len(ecr.requests) == 3, len(ecr.requests))
        secrets_stay(checks, world, SECRET, "AWS:c4nary-1", "AWS:c4nary-2", SESSION)


def ecrs_token_is_not_used_after_its_time(checks, binary, directory):
    with Ecr(left=2) as ecr, environment(**KEYS, **ecr.variables()), ecr_world(binary, directory, "ecr-time", ecr) as world:
        demo = world.image()
        checks("a pull", not (wrong := world.pull(demo)), (wrong, ecr.wrong))
        world.hub.may = lambda *_: True     # whichever it is
        numbers = iter(range(10_000))
        eventually(lambda: world.manifest(f"none-{next(numbers)}").status == 404 and ecr.given > 1, "its time is over: a new one")
        checks("every request was right", ecr.wrong == [], ecr.wrong)


def the_keys_come_from_where_amazons_tools_take_them(checks, binary, directory):
    def keys_json(**more):
        return json.dumps({"AccessKeyId": KEY_ID, "SecretAccessKey": SECRET, "Token": SESSION, "Expiration": "2099-01-01T00:00:00Z"})
    token = directory / "web-identity"
    token.write_text("eyJ.web&identity.token\n")

    def sts(request):
        form = dict(urllib.parse.parse_qsl(request.body, strict_parsing=True))
        must(form == {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleArn": "arn:aws:iam::1:role/r/x",
                      "RoleSessionName": "stele", "WebIdentityToken": "eyJ.web&identity.token"}, form)
        must(request.headers["Authorization"] is None, "it is not signed")
        return 200, (f"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>{SESSION}"
                     f"</SessionToken><SecretAccessKey>{SECRET}</SecretAccessKey><AccessKeyId>{KEY_ID}</AccessKeyId></Credentials>"
                     "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>")

    def container(request):
        must((request.command, request.path, request.headers["Authorization"]) == ("GET", "/v1/keys", "pod-token"), request.path)
        return 200, keys_json()

    def instance(request):
        if request.path == "/latest/api/token":
            must(request.command == "PUT" and request.headers["X-aws-ec2-metadata-token-ttl-seconds"], "PUT with a time")
            return 200, "imds-token"
        must(request.command == "GET" and request.headers["X-aws-ec2-metadata-token"] == "imds-token", "IMDSv2's token")
        base = "/latest/meta-data/iam/security-credentials/"
        must(request.path in (base, base + "the-role"), request.path)
        return 200, "the-role\n" if request.path == base else keys_json()
    pod = directory / "pod-token"
    pod.write_text("pod-token")
    with Service(sts) as sts_, Service(container) as container_, Service(instance) as instance_:
        ways = {
            "web identity": (sts_, 1, {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "arn:aws:iam::1:role/r/x",
                                       "AWS_ENDPOINT_URL_STS": sts_.url}),
            "container": (container_, 1, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": container_.url + "/v1/keys",
                                          "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(pod)}),
            "instance": (instance_, 3, {"AWS_EC2_METADATA_SERVICE_ENDPOINT": instance_.url}),
        }
        for name, (service, count, variables) in ways.items():
            with Ecr() as ecr, environment(**variables, **ecr.variables()), \
                    ecr_world(binary, directory, f"keys-{name[:3]}", ecr) as world:
                demo = world.image()
                checks(f"{name}: a pull", not (wrong := world.pull(demo)), (wrong, ecr.wrong, service.wrong))
                checks(f"{name}: asked as documented", (len(service.requests), service.wrong, ecr.wrong) == (count, [], []),
                       (len(service.requests), service.wrong, ecr.wrong))
                secrets_stay(checks, world, SECRET, "AWS:c4nary-1", "pod-token", "imds-token", "web&identity")


def without_a_login_the_message_says_whose_fault_it_is(checks, binary, directory):
    with Service(lambda _: (404, "no role")) as instance, Ecr() as ecr, \
            environment(AWS_EC2_METADATA_SERVICE_ENDPOINT=instance.url, **ecr.variables()), \
            ecr_world(binary, directory, "no-keys", ecr) as world:
        world.image()
        answer = world.manifest()
        checks("no keys: 503, and which", answer.status == 503 and "AWS credentials" in answer.message, answer)
        checks("Amazon's registry was not asked", ecr.requests == [])
    with Ecr(session="another") as ecr, environment(**KEYS, **ecr.variables()), ecr_world(binary, directory, "refused", ecr) as world:
        world.image()
        answer = world.manifest()
        checks("keys that are refused: 503, and by whom", answer.status == 503 and ecr.url in answer.message, answer)
        checks("without any secret", not any(secret in answer.body.decode() for secret in (SECRET, SESSION)), answer)
    with Ecr() as ecr, environment(**KEYS, AWS_ENDPOINT_URL_ECR=ecr.url), ecr_world(binary, directory, "no-region", ecr) as world:
        world.image()
        answer = world.manifest()
        checks("no region: 503, and which variable", answer.status == 503 and "AWS_REGION" in answer.message, answer)


class Google(Service):
    def __init__(self, public_key, directory):
        self.public_key, self.directory, self.given = public_key, directory, 0
        super().__init__(self.token)

    def token(self, request):
        if request.path.startswith("/computeMetadata/"):
            must(request.command == "GET" and request.path == "/computeMetadata/v1/instance/service-accounts/default/token", request.path)
            must(request.headers["Metadata-Flavor"] == "Google", "flavor")
        else:
            form = dict(urllib.parse.parse_qsl(request.body, strict_parsing=True))
            must(request.path == "/token" and set(form) == {"grant_type", "assertion"} and
                 form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer", form)
            self.verify(form["assertion"])
        self.given += 1
        return 200, json.dumps({"access_token": f"ya29.c4nary-{self.given}", "expires_in": 3599, "token_type": "Bearer"})

    def verify(self, jwt):
        head, claims, signed = jwt.split(".")

        def decoded(text):
            must("=" not in text, "padded")
            return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        (self.directory / "signature").write_bytes(decoded(signed))
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", self.public_key, "-signature", self.directory / "signature"],
                              input=f"{head}.{claims}".encode(), capture_output=True)
        must(done.returncode == 0, "the signature is wrong")
        must(json.loads(decoded(head)) == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}, head)
        said = json.loads(decoded(claims))
        must(set(said) == {"iss", "scope", "aud", "iat", "exp"} and said["iss"] == "mirror@project.example" and
             said["aud"] == self.url + "/token" and abs(said["iat"] - time.time()) < 300 and 0 < said["exp"] - said["iat"] <= 3600 and
             said["scope"] == "https://www.googleapis.com/auth/cloud-platform", said)


def google_keys(directory):
    private, public = directory / "google.key", directory / "google.pub"
    if not private.exists():
        subprocess.run(["openssl", "genrsa", "-out", private, "2048"], check=True, capture_output=True)
        subprocess.run(["openssl", "rsa", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return private.read_text(), public


GOOGLE = 'cloud_login: google\nallow: ["**"]\ntoken_realm: "{hub.token_host}"'


def googles_token_is_the_password(checks, binary, directory):
    private, public = google_keys(directory)
    file = directory / "service-account.json"
    with Google(public, directory) as google:
        file.write_text(json.dumps({"type": "service_account", "client_email": "mirror@project.example", "private_key": private,
                                    "private_key_id": "key-1", "token_uri": google.url + "/token"}))
        ways = {"key file": ({}, f"\ncloud_key_file: {file}"), "variable": ({"GOOGLE_APPLICATION_CREDENTIALS": str(file)}, ""),
                "metadata": ({"GCE_METADATA_HOST": google.url[7:]}, "")}
        for name, (variables, more) in ways.items():
            google.given = 0
            with environment(**variables), World(binary, directory, f"g-{name[:3]}", account="oauth2accesstoken:ya29.c4nary-1",
                                                 more=GOOGLE + more) as world:
                world.hub.strict = True
                demo = world.image()
                checks(f"{name}: a pull", not (wrong := world.pull(demo)), (wrong, google.wrong))
                checks(f"{name}: one access token, asked for as documented", (google.given, google.wrong) == (1, []), google.wrong)
                world.hub.account = "oauth2accesstoken:ya29.c4nary-2"
                world.hub.revoke_tokens()
                answer = world.manifest("2")
                checks(f"{name}: one that Google has withdrawn is replaced", google.given == 2 and answer.status == 404, (google.given, answer))
                shown = {seen.where for seen in world.hub.all_seen() if seen.authorization.startswith("Basic")}
                checks(f"{name}: nobody but the token service saw it", shown == {"token"}, shown)
                secrets_stay(checks, world, "PRIVATE KEY", "oauth2accesstoken:ya29.c4nary-1", "ya29.c4nary-2")


def a_key_that_is_none_says_so(checks, binary, directory):
    private, _ = google_keys(directory)
    right = {"type": "service_account", "client_email": "a@b", "private_key": private, "token_uri": "https://127.0.0.1:1/token"}
    cases = {"no such file": (None, "cannot be read"), "no JSON": ("hello", "no service account"),
             "no key": ({**right, "private_key": "none"}, "no RSA key"),
             "in the clear": ({**right, "token_uri": "http://oauth2.example/token"}, "no https URL")}
    for number, (name, (content, words)) in enumerate(cases.items()):
        file = directory / f"wrong-{number}.json"
        if content is not None:
            file.write_text(content if isinstance(content, str) else json.dumps(content))
        with environment(), World(binary, directory, f"gw{number}", account="a:b", more=f"{GOOGLE}\ncloud_key_file: {file}") as world:
            world.image()
            answer = world.manifest()
            checks(f"{name}: 503, and why", answer.status == 503 and words in answer.message and "PRIVATE" not in answer.message, answer)


def a_foreign_realm_gets_no_login_of_a_clouds(checks, binary, directory):
    """P1 holds wherever the login comes from."""
    with Ecr() as ecr, environment(**KEYS, **ecr.variables()), \
            World(binary, directory, "cloud-foreign", account="AWS:c4nary-1", more=ECR) as world:
        world.image()
        answer = world.manifest()
        checks("403 that names token_realm", answer.status == 403 and "token_realm" in answer.message, answer)
        checks("no Basic left for anybody", not any("Basic" in seen.authorization for seen in world.hub.all_seen()))


def helper(directory, name, script):
    """docker-credential-<name> in a folder of its own; the folder."""
    folder = directory / f"helper-{name}"
    folder.mkdir()
    program = folder / f"docker-credential-{name}"
    program.write_text("#!/bin/sh\n" + script.format(folder=folder))
    program.chmod(0o755)
    return folder


def a_credential_helper_is_asked(checks, binary, directory):
    folder = helper(directory, "good", 'echo "$@" >> {folder}/asked; cat >> {folder}/asked\n'
                    '''printf '{{"ServerURL":"x","Username":"robot","Secret":"c4nary-helper"}}\\n' ''')
    with environment(PATH=f"{folder}:{os.environ['PATH']}"), \
            World(binary, directory, "helper", account="robot:c4nary-helper", names=("hub.example",),
                  more='credential_helper: good\nallow: ["**"]\ntoken_realm: "{hub.token_host}"') as world:
        demo = world.image()
        checks("a pull", not (wrong := world.pull(demo, repository="hub.example/library/demo")), wrong)
        asked = (folder / "asked").read_text()
        checks("asked once: get, and the upstream's host", asked == f"get\n{world.hub.url()[7:]}", asked)
        secrets_stay(checks, world, "c4nary-helper", "robot:c4nary-helper")
    with environment(PATH=f"{folder}:{os.environ['PATH']}"), \
            World(binary, directory, "helper-hub", account="robot:c4nary-helper",
                  more='credential_helper: good\nallow: ["**"]\ntoken_realm: "{hub.token_host}"') as world:
        demo = world.image()
        (folder / "asked").unlink()
        checks("Docker Hub's: a pull", not (wrong := world.pull(demo)), wrong)
        asked = (folder / "asked").read_text()
        checks("under the name that docker login keeps it", asked == "get\nhttps://index.docker.io/v1/", asked)


def a_helper_that_fails_is_bounded(checks, binary, directory):
    """In time, in output, and in what is told of it."""
    cases = {
        "fails": ("echo c4nary-out; echo c4nary-err >&2; exit 3", "exit status 3"),
        "knows": ("echo 'credentials not found in native keychain'; exit 1", "has no credentials for"),
        "nonsense": ("echo c4nary-out", "no login"),
        "endless": ("while :; do echo c4nary-out; done", "more than 64 KiB"),
        "crashed": ("kill -9 $$", "did not end by itself"),
        "token": ('''printf '{{"Username":"<token>","Secret":"c4nary-out"}}' ''', "identity token"),
        "absent": (None, "PATH"),
        "slow": ("echo $$ > {folder}/pid; sleep 600 & echo $! >> {folder}/pid; wait", "did not answer within"),
    }
    for name, (script, words) in cases.items():
        folder = helper(directory, name, script) if script else directory
        with environment(PATH=f"{folder}:{os.environ['PATH']}"), \
                World(binary, directory, f"h-{name}", account="a:b",
                      more=f'credential_helper: {name}\nallow: ["**"]\ntoken_realm: "{{hub.token_host}}"') as world:
            world.image()
            answer = world.manifest()
            checks(f"{name}: 503, and why", answer.status == 503 and words in answer.message, answer)
            said = world.mirror.said() + answer.body.decode()
            checks(f"{name}: nothing of what it wrote is told", "c4nary" not in said, said[-500:])
            if name == "slow":
                processes = [int(line) for line in (folder / "pid").read_text().split()]
                eventually(lambda: not any(alive(process) for process in processes), "it and what it started are gone")


def alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


TESTS = [ecrs_token_is_asked_for_and_renewed, ecrs_token_is_not_used_after_its_time, the_keys_come_from_where_amazons_tools_take_them,
         without_a_login_the_message_says_whose_fault_it_is, googles_token_is_the_password, a_key_that_is_none_says_so,
         a_foreign_realm_gets_no_login_of_a_clouds, a_credential_helper_is_asked, a_helper_that_fails_is_bounded]
