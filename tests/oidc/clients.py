#!/usr/bin/env python3
"""Real clients that log in with an ID token: docker's command line, without a daemon; skopeo; podman.

  clients.py STELE [NAME...]
"""
import json
import subprocess
import sys
import time

from issuer import Issuer
from run import EXCHANGE, ROOT, TYPE, main, server_for   # first: it says where the following are
from logins import basic, post   # noqa: E402
from common import check   # noqa: E402
from wire import eventually, request   # noqa: E402

sys.path.append(str(ROOT / "tests/clients"))
from images import Layout, host_architecture   # noqa: E402


class Home:
    """Where the clients of one test keep what they keep."""

    def __init__(self, server):
        self.server = server
        self.directory = server.directory / "home"
        self.directory.mkdir()
        self.layout = Layout(server.directory / "layout", [host_architecture()])
        self.name = f"docker://{server.address}/team/app:2"

    def run(self, *words, text=None, right=True):
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, input=text,
                              env={"HOME": str(self.directory), "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "XDG_RUNTIME_DIR": str(self.directory),
                                   "DOCKER_HOST": f"unix://{self.directory}/none", "DOCKER_CONFIG": str(self.directory / "docker")})
        check((done.returncode == 0) == right, f"{words[0]} {words[1]}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def push(self, *credentials, right=True):
        return self.run("skopeo", "--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false", *credentials, self.layout.reference, self.name, right=right)


def test_docker_keeps_a_session_that_outlives_the_id_token(stele):
    """A10, P17"""
    with Issuer() as issuer, server_for(stele, issuer) as server:
        home = Home(server)
        token = issuer.token(exp=int(time.time()) - 45)   # a quarter of a minute is left of the leeway
        home.run("docker", "login", "--username", "ci", "--password-stdin", server.address, text=token)
        file = home.directory / "docker/config.json"
        kept = json.loads(file.read_text())["auths"][server.address]
        check(kept.get("identitytoken") and token not in file.read_text(), f"docker keeps a refresh token: {list(kept)}")
        eventually(lambda: request(server, "GET", "/v2/", basic("ci", token)).status == 401, "the ID token is over")
        home.push("--authfile", file)
        check(request(server, "GET", "/v2/team/app/manifests/2", basic("ci", kept["identitytoken"])).status == 200, "pushed")
        number = request(server, "GET", "/api/v1/tokens", address=server.data / "stele.sock").json()["tokens"][0]["id"]
        request(server, "DELETE", f"/api/v1/tokens/{number}", address=server.data / "stele.sock")
        check("revoked" in home.push("--authfile", file, right=False), "revoked, which is said")


def test_skopeo_and_podman_take_an_id_token_or_a_session_as_the_password(stele):
    with Issuer() as issuer, server_for(stele, issuer) as server:
        home = Home(server)
        home.push("--dest-creds", f"ci:{issuer.token()}")
        form = {"grant_type": EXCHANGE, "subject_token": issuer.token(), "subject_token_type": TYPE + "id_token", "requested_token_type": TYPE + "refresh_token"}
        session = post(server, **form).json()["access_token"]
        for client in ("skopeo", "podman"):
            file = home.directory / f"{client}.json"
            home.run(client, "login", "--tls-verify=false", "--authfile", file, "--username", "ci", "--password-stdin", server.address, text=session)
            home.push("--authfile", file)
        said = home.push("--dest-creds", f"ci:{issuer.token(ref='refs/heads/x')}", right=False)
        check("403" in said, f"another branch: {said}")


if __name__ == "__main__":
    sys.exit(main(globals()))
