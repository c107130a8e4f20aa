"""What openapi's test needs of a mirror with an upstream that answers."""
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import IMAGE, manifest, sha256
from wire import eventually, request

CONFIG = b"{}"


class Upstream:
    """A registry in which one tag names what the test says."""

    def __init__(self):
        upstream = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                kind, reference = self.path.split("/")[-2:]
                body = CONFIG if kind == "blobs" else upstream.content.get(reference, upstream.named)
                self.send_response(200)
                for name, value in (("Content-Type", IMAGE), ("Content-Length", len(body)), ("Docker-Content-Digest", sha256(body))):
                    self.send_header(name, str(value))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET

        self.content, self.named = {}, b""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def name(self, content):
        self.content[sha256(content)] = self.named = content
        return sha256(content)

    @property
    def settings(self):
        return f'{{name: near.example, upstreams: ["http://127.0.0.1:{self.server.server_port}"], tags: pin, tag_ttl: 1s}}'

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def mirror_updates(server, ask, upstream):
    tag = {"repository": "near.example/team/app", "tag": "1"}

    def seen():
        return ask("GET", "/mirrors/near.example/updates").json()["updates"]

    def approve(**more):
        return ask("POST", "/mirrors/near.example/approvals", {**tag, **more})
    one = upstream.name(manifest(sha256(CONFIG), "one"))
    assert request(server, "GET", "/v2/near.example/team/app/manifests/1").status == 200
    two = upstream.name(manifest(sha256(CONFIG), "two"))
    eventually(seen, "the update is seen")
    update = seen()[0]
    assert (update["held"], update["upstream"], update["difference"][0]["layers"]["kept"]) == (one, two, 0), update
    assert ask("GET", "/mirrors/near.example/updates?n=1&last=near.example/team/app:1").json()["updates"] == []
    assert ask("GET", "/mirrors/far.example/updates").json()["tags"] == "follow"
    assert ask("GET", "/mirrors/nowhere.example/updates").status == 404
    assert ask("GET", "/mirrors/near.example/updates?last=x").status == 400
    assert approve(digest=one).status == 409
    assert approve(digest="x").status == 400
    assert approve(tag="2").status == 404
    done = approve(digest=two)
    assert done.status == 200 and done.json()["previous"] == one, done.body
    assert ask("GET", "/repositories/near.example/team/app/tags/1/history").json()["history"][0]["action"] == "tag.approve"
    upstream.stop()
    assert approve(digest=two).status == 503
