"""An issuer of ID tokens: keys made by openssl, a configuration document, a set of keys, on a port of 127.0.0.1. It counts what it is
asked for."""
import base64
import http.server
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))
sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))   # whoever imports this
from ports import held_port  # noqa: E402  # noqa: E402

AUDIENCE = "registry.example"


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else json.dumps(data).encode()).rstrip(b"=").decode()


def openssl(*words, **more):
    return subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60, **more).stdout


class Key:
    """RS256 or ES256."""

    def __init__(self, name, algorithm="RS256"):
        self.name, self.algorithm = name, algorithm
        self.directory = tempfile.TemporaryDirectory(prefix="stele-oidc-key-")   # goes with the key
        self.file = Path(self.directory.name) / "key.pem"
        kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if algorithm == "RS256" else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("genpkey", "-algorithm", *kind, "-out", self.file)

    def public_pem(self):
        return openssl("pkey", "-in", self.file, "-pubout")

    def jwk(self):
        common = {"kid": self.name, "use": "sig", "alg": self.algorithm}
        if self.algorithm == "RS256":
            modulus = openssl("rsa", "-in", self.file, "-noout", "-modulus").decode().strip().partition("=")[2]
            return {"kty": "RSA", "n": b64(bytes.fromhex(modulus)), "e": "AQAB", **common}
        point = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")[-64:]
        return {"kty": "EC", "crv": "P-256", "x": b64(point[:32]), "y": b64(point[32:]), **common}

    def sign(self, text):
        signature = openssl("dgst", "-sha256", "-sign", self.file, input=text.encode())
        if self.algorithm == "RS256":
            return b64(signature)
        raw, at = b"", 2   # SEQUENCE of two INTEGERs, each shorter than 128 bytes
        for _ in range(2):
            length = signature[at + 1]
            raw += signature[at + 2:at + 2 + length].lstrip(b"\0").rjust(32, b"\0")
            at += 2 + length
        return b64(raw)


class Issuer:
    def __init__(self, *keys):
        self.keys = list(keys) or [Key("first")]
        self.asked = []      # paths, in order
        self.answers = {}    # path: (status, fields, body) instead of the usual
        self.speaks = threading.Event()   # cleared, it takes what it is asked and says nothing
        self.speaks.set()
        self.port = held_port()     # stopped or not
        self.server = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append(self.path)
                issuer.speaks.wait(60)
                status, fields, body = issuer.answers.get(self.path) or issuer.usual(self.path)
                body = body if isinstance(body, bytes) else json.dumps(body).encode()
                try:
                    self.send_response(status)
                    for name, value in {"Content-Length": str(len(body)), **fields}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)
                except ConnectionError:
                    pass   # whoever asked has left

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.speaks.set()
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    def usual(self, path):
        if path == "/.well-known/openid-configuration":
            return 200, {}, {"issuer": self.url, "jwks_uri": self.url + "/keys"}
        if path == "/keys":
            return 200, {}, self.key_set()
        return 404, {}, {}

    def key_set(self):
        return {"keys": [key.jwk() for key in self.keys]}

    def count(self, path="/keys"):
        return self.asked.count(path)

    def claims(self, **more):
        now = int(time.time())
        said = {"iss": self.url, "aud": AUDIENCE, "sub": "repo:octo/app:ref:refs/heads/main", "iat": now, "nbf": now, "exp": now + 600,
                "jti": "one", "repository": "octo/app", "repository_id": "4711", "repository_owner_id": "99", "ref": "refs/heads/main",
                "run_attempt": 1, "ref_protected": True, **more}
        return {name: value for name, value in said.items() if value is not None}

    def token(self, key=None, header=None, body=None, **more):
        """`header` is added to the usual one; `body`, when given, is the text of the body."""
        key = key or self.keys[0]
        head = {"typ": "JWT", "alg": key.algorithm, "kid": key.name, **(header or {})}
        text = b64({name: value for name, value in head.items() if value is not None}) + "." + b64((body or json.dumps(self.claims(**more))).encode())
        return text + "." + key.sign(text)
