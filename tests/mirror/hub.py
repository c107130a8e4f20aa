"""An upstream as Docker Hub is one, on loopback: a registry that wants a bearer token, a token service and a CDN on ports of
their own, limit headers, blobs by a redirect with a signature in its query. Behind it stands a real registry. It does to
each request what the test's faults say, and remembers what it was asked."""
import base64
import http.client
import re
import sys
import socket
import struct
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "support"))   # whoever imports this
from ports import held_port  # noqa: E402

FORWARDED = ("Content-Type", "Docker-Content-Digest", "ETag", "Content-Range", "Location", "OCI-Filters-Applied", "Link")


class Seen:
    """One request: where is registry, token or cdn."""

    def __init__(self, where, method, target, headers):
        self.where, self.method, self.target = where, method, target
        self.path = target.split("?")[0]
        self.authorization = headers.get("Authorization", "")
        self.headers = headers

    def __repr__(self):
        return f"{self.where} {self.method} {self.path}"


class Fault:
    def __init__(self, where, pattern, action, times):
        self.where, self.pattern, self.action, self.left = where, re.compile(pattern), action, times


def status(code, headers=(), body=b"{}"):
    """Answers with this instead."""
    return lambda handler, answer: handler.answer(code, dict(headers), body)


def reset(handler, _):
    handler.reset()


def cut(after):
    """The whole length is announced, so many bytes come, and the connection ends."""
    def action(handler, answer):
        handler.answer(answer.status, answer.headers, answer.body, announced=len(answer.body), sent=after)
    return action


def wrong_bytes(handler, answer):
    body = bytearray(answer.body or b"-")
    body[len(body) // 2] ^= 1
    handler.answer(answer.status, answer.headers, bytes(body), announced=answer.length)


def held(after, gate):
    """So many bytes come, the rest once the gate is open."""
    def action(handler, answer):
        handler.answer(answer.status, answer.headers, answer.body[:after], announced=len(answer.body))
        gate.wait(60)
        handler.wfile.write(answer.body[after:])
    return action


def without(*names):
    """The answer without these header fields."""
    def action(handler, answer):
        handler.answer(answer.status, {k: v for k, v in answer.headers.items() if k not in names}, answer.body,
                       announced=answer.length)
    return action


class Upstream:
    """What the registry behind answered."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name: response.headers[name] for name in FORWARDED if response.headers[name]}
        self.length = int(response.headers["Content-Length"] or 0)
        self.body = response.read()


class Hub:
    def __init__(self, registry, account=None):
        """`account`: "user:password" without which nothing may be pulled."""
        self.behind, self.account = registry, account
        self.lock = threading.Lock()
        self.seen, self.faults, self.tokens = [], [], {}
        self.remaining = None       # what the limit header says
        self.basic = False          # Basic at the registry itself instead of tokens
        self.strict = False         # the token service gives nothing without the account
        self.expired = 401          # to a login that is not good (any more); ECR says 403
        self.redirects = True       # blobs come from the CDN
        self.realm = None           # another one than our own token service
        self.servers = {}
        self.ports = {where: held_port() for where in ("registry", "token", "cdn")}    # stopped or not
        self.stopped = False
        self.start()

    # --- the test's side ---
    def start(self):
        self.stopped = False
        for where in self.ports:
            server = ThreadingHTTPServer(("127.0.0.1", self.ports[where]), handler_of(self, where))
            server.daemon_threads = True
            server.handle_error = lambda *_: None   # a client that has gone
            self.servers[where] = server
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        """Nobody answers at its ports any more, nor on connections that are open."""
        self.stopped = True
        for server in self.servers.values():
            server.shutdown()
            server.server_close()

    def url(self, where="registry"):
        return f"http://127.0.0.1:{self.servers[where].server_port}"

    @property
    def token_host(self):
        return self.url("token")[7:]

    def fault(self, where, pattern, action, times=None):
        """For the next `times` requests whose "METHOD path" the pattern finds; None: all from now on."""
        with self.lock:
            self.faults.append(Fault(where, pattern, action, times))

    def mend(self):
        with self.lock:
            self.faults.clear()

    def count(self, where, pattern=""):
        with self.lock:
            return sum(1 for seen in self.seen if seen.where == where and re.search(pattern, f"{seen.method} {seen.path}"))

    def paths(self, where, method):
        with self.lock:
            return [seen.path for seen in self.seen if (seen.where, seen.method) == (where, method)]

    def forget(self):
        with self.lock:
            self.seen.clear()

    def all_seen(self):
        with self.lock:
            return list(self.seen)

    # --- the servers' side ---
    def note(self, seen):
        with self.lock:
            self.seen.append(seen)
            for fault in self.faults:
                if fault.where == seen.where and fault.left != 0 and fault.pattern.search(f"{seen.method} {seen.path}"):
                    if fault.left is not None:
                        fault.left -= 1
                    return fault.action
        return None

    def new_token(self, scope, authorization):
        with self.lock:
            token = f"token-{len(self.tokens) + 1}"
            known = self.account is None or authorization == self.basic_of(self.account)
            self.tokens[token] = scope if known else "nothing"
            return token

    def may(self, repository, authorization):
        if self.basic:
            return self.account is None or authorization == self.basic_of(self.account)
        with self.lock:
            scope = self.tokens.get(authorization.removeprefix("Bearer "), "")
        return authorization.startswith("Bearer ") and scope == f"repository:{repository}:pull"

    def revoke_tokens(self):
        with self.lock:
            self.tokens.clear()

    @staticmethod
    def basic_of(account):
        return "Basic " + base64.b64encode(account.encode()).decode()


def handler_of(hub, where):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, code, headers=None, body=b"", announced=None, sent=None):
            self.send_response(code)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if announced is None else announced))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body if sent is None else body[:sent])
            if sent is not None:
                self.wfile.flush()
                self.close_connection = True

        def reset(self):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def forward(self, target):
            behind = http.client.HTTPConnection(*hub.behind.address.split(":"), timeout=30)
            try:
                passed = {name: self.headers[name] for name in ("Range", "Accept") if self.headers[name]}
                behind.request(self.command, target, headers=passed)
                return Upstream(behind.getresponse())
            finally:
                behind.close()

        def finish_with(self, action, answer):
            if action:
                action(self, answer)
            else:
                self.answer(answer.status, answer.headers, answer.body,
                            announced=answer.length if self.command == "HEAD" else None)

        def do_GET(self):
            if hub.stopped:
                return self.reset()
            seen = Seen(where, self.command, self.path, dict(self.headers))
            action = hub.note(seen)
            try:
                {"registry": self.registry, "token": self.token, "cdn": self.cdn}[where](seen, action)
            except OSError:
                self.close_connection = True

        do_HEAD = do_GET

        def token(self, seen, action):
            query = urllib.parse.parse_qs(self.path.partition("?")[2])
            token = hub.new_token(query.get("scope", [""])[0], seen.authorization)
            body = b'{"token": "%s", "expires_in": 300}' % token.encode()
            if hub.strict and seen.authorization != hub.basic_of(hub.account):
                return self.answer(401, {}, b"{}")
            if action:
                return action(self, None)
            return self.answer(200, {"Content-Type": "application/json"}, body)

        def registry(self, seen, action):
            found = re.fullmatch(r"/v2/(.+?)/(manifests|blobs|tags|referrers)/(.+)", seen.path)
            if found and not hub.may(found[1], seen.authorization):
                realm = hub.realm or hub.url("token") + "/token"
                wanted = 'Basic realm="hub"' if hub.basic else \
                    f'Bearer realm="{realm}",service="hub.test",scope="repository:{found[1]}:pull"'
                if seen.authorization and hub.expired != 401:
                    return self.answer(hub.expired, {}, b"{}")
                return self.answer(401, {"WWW-Authenticate": wanted, "Content-Type": "application/json"},
                                   b'{"errors": [{"code": "UNAUTHORIZED"}]}')
            if found and found[2] == "blobs" and hub.redirects and not action:
                return self.answer(307, {"Location": f"{hub.url('cdn')}{self.path}?signature=s3cret&expires=1"})
            answer = self.forward(self.path)
            if hub.remaining is not None:
                answer.headers["ratelimit-remaining"] = f"{hub.remaining};w=21600"
            return self.finish_with(action, answer)

        def cdn(self, seen, action):
            if seen.authorization:
                return self.answer(400, {}, b"only one auth mechanism allowed")
            if "signature=s3cret" not in seen.target:
                return self.answer(403, {}, b"not signed")
            return self.finish_with(action, self.forward(seen.path))

    return Handler
