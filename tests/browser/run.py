#!/usr/bin/env python3
"""A web page of others, in a real browser on the machine where Stele runs, tries to administer it (review A10).

  run.py [--stele BINARY]

The browser may do what the page can: forms, fetch in every mode, images, frames, WebSockets. What the page aims at is done
once by the command line afterwards, so that the test would see it if it had happened.
"""
import functools
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import IMAGE, Failure, Registry, digest_of, image, main  # noqa: E402

PAGE = """<!doctype html><title>working</title><body><script>
const R = "%(stele)s";
const hold = JSON.stringify({name: "stranger", case: "stranger", repository: "team/app"});
async function fetches() {
  const targets = [["POST", "/api/v1/holds", hold], ["POST", "/api/v1/gc/pause", JSON.stringify({reason: "stranger"})],
                   ["DELETE", "/api/v1/in-use/eu", JSON.stringify({reason: "stranger"})], ["POST", "/api/v1/lifecycle/run", null]];
  for (const [method, target, body] of targets)
    for (const mode of ["cors", "no-cors"])
      for (const type of ["application/json", "text/plain", "application/x-www-form-urlencoded", "application/json;charset=utf-8"])
        for (const credentials of ["omit", "include"])
          try { await fetch(R + target, {method, mode, credentials, body, headers: {"Content-Type": type}}); } catch (e) {}
  for (const target of ["/api/v1/holds", "/api/v1/status"])
    try { const answer = await fetch(R + target); document.body.append("read:" + await answer.text()); } catch (e) {}
  navigator.sendBeacon(R + "/api/v1/gc/pause", new Blob([JSON.stringify({reason: "stranger"})], {type: "text/plain"}));
}
function form(enctype, name, value) {
  return new Promise(done => {
    const frame = document.createElement("iframe"), f = document.createElement("form"), i = document.createElement("input");
    frame.name = "f" + Math.random(); frame.onload = () => done(); document.body.append(frame);
    f.action = R + "/api/v1/holds"; f.method = "POST"; f.enctype = enctype; f.target = frame.name;
    i.name = name; i.value = value; f.append(i); document.body.append(f);
    frame.onload = () => done(); f.submit(); setTimeout(done, 3000);
  });
}
fetches().then(() => form("text/plain", hold.slice(0, -1) + ',"x":"', '"}'))
         .then(() => form("application/x-www-form-urlencoded", "name", "stranger"))
         .then(() => { document.title = "done"; return fetch("/done", {method: "POST"}); });
</script>"""


def page_server(text, address=("127.0.0.1", 0), behind=None):
    """Serves the page; everything else is passed on to `behind` as it came, as if the name led there now."""
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with socket.create_connection(behind) as to:
                fields = "".join(f"{name}: {'close' if name.lower() == 'connection' else value}\r\n" for name, value in self.headers.items())
                to.sendall(f"{self.requestline}\r\n{fields}\r\n".encode() + body)
                while piece := to.recv(65536):
                    self.wfile.write(piece)
            self.close_connection = True

        do_DELETE = do_OPTIONS = pass_on

        def do_GET(self):
            if self.path != "/":
                return self.pass_on() if behind else self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text().encode())

        def do_POST(self):
            if self.path != "/done":
                return self.pass_on() if behind else self.send_error(404)
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(address, Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, done


def reached(registry, before):
    """Whether its log has more requests of administration than before: lines leave by a thread."""
    until = time.monotonic() + 20
    while registry.said().count('"/api/v1/') <= before and time.monotonic() < until:
        time.sleep(0.01)
    return registry.said().count('"/api/v1/') > before


def browse(chromium, directory, url, done, *arguments):
    """The page as it stood when its script had ended."""
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = subprocess.Popen([chromium, "--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage",
                                f"--user-data-dir={directory}", *root, *arguments, "--remote-debugging-port=0", url],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return done.wait(90)
    finally:
        browser.terminate()
        try:
            browser.wait(20)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()


def tests(checks, directory, options):
    chromium = shutil.which("chromium")
    if not chromium:
        raise Failure("chromium is not installed; `make browser` installs it")
    with Registry(options.stele, directory / "registry") as registry:
        path = registry.directory / "stele.yaml"
        path.write_text(path.read_text() + "log: {access: on, level: info}\n" if "log:" not in path.read_text() else "log: {access: on, level: info}\n")
        registry.start()
        config, _ = registry.push_blob("team/app", b"{}")
        registry.connection(10)
        status = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "-H", f"Content-Type: {IMAGE}", "--data-binary", "@-",
                                 f"http://{registry.address}/v2/team/app/manifests/1"], input=image((config, 2)), capture_output=True).stdout
        checks("an image is there", status == b"201", status)
        port = registry.address.rpartition(":")[2]
        # The third: a name of the stranger's that leads to this machine (DNS rebinding), so that the page is of "the same origin".
        rebound = f"http://stranger.example:{port}"
        for name, stele, page in (("another origin", f"http://127.0.0.1:{port}", None), ("localhost by name", f"http://localhost:{port}", None),
                                  ("a name that was rebound", rebound, rebound)):
            text = functools.partial(PAGE.__mod__, {"stele": stele})
            server, done = page_server(text, ("127.0.0.2", int(port)), ("127.0.0.1", int(port))) if page else page_server(text)
            before = registry.said().count('"/api/v1/')
            ended = browse(chromium, directory / name.replace(" ", "-"), page or f"http://127.0.0.1:{server.server_port}/", done,
                           "--host-resolver-rules=MAP stranger.example 127.0.0.2")
            server.shutdown()
            checks(f"{name}: the page's script came to its end", ended)
            checks(f"{name}: its requests reached Stele", reached(registry, before))
            said = subprocess.run([registry.binary, "hold", "list", "--all", "--json", "--data", registry.data], capture_output=True, text=True)
            checks(f"{name}: no hold was set", said.returncode == 0 and "stranger" not in said.stdout, said.stdout + said.stderr)
            gc = subprocess.run([registry.binary, "gc", "status", "--json", "--data", registry.data], capture_output=True, text=True)
            checks(f"{name}: the collector was not paused", gc.returncode == 0 and "stranger" not in gc.stdout, gc.stdout + gc.stderr)
        made = subprocess.run([registry.binary, "hold", "set", "stranger", "team/app", "--case", "stranger", "--server", f"http://{registry.address}"], capture_output=True, text=True)
        said = subprocess.run([registry.binary, "hold", "list", "--json", "--data", registry.data], capture_output=True, text=True)
        checks("what the page tried is possible for the machine's own user", "stranger" in said.stdout, f"{made.stdout}{made.stderr} {json.dumps(said.stdout)}")


if __name__ == "__main__":
    main("browser", tests)
