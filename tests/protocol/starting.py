"""Starting, stopping and what is found in the data directory. Each test_* function is a test."""
import contextlib
import json
import os
import signal
import stat
import subprocess
import time

from common import check, head, manifest, put_manifest, sha256, start_upload
from ports import held_port   # by the path that wire knows
from wire import Connection, Server, eventually, generated, push_blob, request


def test_graceful_stop_finishes_what_is_under_way(stele):
    with Server(stele) as server:
        content = generated(24 << 20, "stop")
        digest = push_blob(server, "a", content)
        idle, reading, writing = Connection(server), Connection(server), Connection(server)
        idle.send(head("GET", "/v2/"))
        idle.read_answer("GET")
        upload = start_upload(server, "a")
        writing.send(head("PATCH", upload, "Content-Length: 10", "Expect: 100-continue"))
        check(writing.read_answer("PATCH").status == 100, "no 100")
        reading.send(head("GET", f"/v2/a/blobs/{digest}"))
        reading.fill()
        server.signal(signal.SIGTERM)
        check(idle.at_end(), "an idle connection is closed at once")

        def refused():
            try:
                Connection(server).close()
            except OSError:
                return True
        eventually(refused, "the end of listening")
        answer = reading.read_answer("GET")
        check(answer.status == 200 and answer.body == content, "the download is complete")
        writing.send(b"0123456789")
        answer = writing.read_answer("PATCH")
        check(answer.status == 202 and answer.get("Range") == "0-9" and answer.closes(), "the upload is acknowledged", answer)
        writing.close()
        reading.close()
        check(server.wait() == 0, f"exit code {server.exit_code}")
        server.start()
        answer = request(server, "PUT", f"{upload}?digest={sha256(b'0123456789')}")
        check(answer.status == 201, "the upload goes on after the restart", answer)


def test_a_second_signal_ends_a_transfer_that_would_not(stele):
    with Server(stele) as server:
        digest = push_blob(server, "a", generated(24 << 20, "stop"))
        stuck = Connection(server)
        stuck.send(head("GET", f"/v2/a/blobs/{digest}"))
        stuck.fill()
        server.signal(signal.SIGTERM)
        server.wait_log("stopping: ")
        server.signal(signal.SIGTERM)
        check(server.wait() == 0, f"exit code {server.exit_code}")
        check("stopped; connections that were cut off by the second signal: 1" in server.said(), f"the grace was not waited for: {server.log_tail()}")
        stuck.close()


def test_second_server_on_the_same_data_is_refused(stele):
    with Server(stele) as server, contextlib.closing(Connection(server)):
        second = Server(stele, data=server.data)
        said = second.refuses()
        second.remove()
        check(str(server.process.pid) in said and "another stele" in said, said)
        check(request(server, "GET", "/v2/").status == 200, "the first is not disturbed")


def test_the_start_says_what_is_open_to_whom(stele):
    users = "alice:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"
    rules = "version: 1\naccess_rules:\n  - {who: [anonymous], repositories: [\"**\"], allow: [pull]}\n"
    for config, words in (("", "everything is allowed to whoever is on this machine"), ("trusted_proxies: [127.0.0.1]\n", "whoever reaches it may pull, push and delete"),
                          ("policy: {directory}/policy.yaml\n", None), ("auth: {htpasswd: {file: {directory}/users}}\n", None)):
        server = Server(stele)
        (server.directory / "users").write_text(users)
        (server.directory / "policy.yaml").write_text(rules)
        with server.config.open("a") as written:
            written.write(config.replace("{directory}", str(server.directory)))
        with server:
            eventually(lambda: "try: " in server.said(), "the start-up text")
            said = [line for line in server.said().splitlines() if line.startswith("rights: ")]
            check(len(said) == (1 if words else 0) and (not words or words in said[0]), f"{config!r}: {said}")


def test_require_existing(stele):
    server = Server(stele, "require_existing: true\n")
    said = server.refuses()
    check("require_existing" in said and not server.data.exists(), said)
    server.data.mkdir()
    check("require_existing" in server.refuses(), "an empty directory is refused too")
    server.config.write_text("")
    server.start()
    digest = push_blob(server, "a", b"x")
    check(server.stop() == 0, "stopped")
    server.config.write_text("require_existing: true\n")
    server.start()
    check(request(server, "HEAD", f"/v2/a/blobs/{digest}").status == 200, "what was there is there")
    server.kill()
    server.remove()


def test_blobs_without_catalog_and_corrupt_catalog_are_refused_with_advice(stele):
    with Server(stele) as server:
        push_blob(server, "a", b"x")
        server.stop()
        catalog = server.data / "stele.db"
        whole = catalog.read_bytes()
        catalog.unlink()
        said = server.refuses()
        check("no catalog" in said and "backups" in said, said)
        catalog.write_bytes(b"\xa5" * len(whole))
        said = server.refuses()
        check("stele.db" in said and "snapshot" in said, said)
        check(catalog.read_bytes() == b"\xa5" * len(whole), "nothing was changed")
        catalog.write_bytes(whole)
        server.start()
        check(request(server, "HEAD", f"/v2/a/blobs/{sha256(b'x')}").status == 200, "the old catalog works")


def test_a_directory_of_somebody_else_and_a_policy_are_refused(stele):
    server = Server(stele)
    server.data.mkdir()
    (server.data / "thesis.tex").write_text("")
    said = server.refuses()
    check("thesis.tex" in said and "--data" in said, said)
    check(os.listdir(server.data) == ["thesis.tex"], "nothing was put there")
    (server.data / "thesis.tex").unlink()
    server.config.write_text(f"policy: {server.directory / 'policy.yaml'}\n")
    said = server.refuses()
    check("policy.yaml cannot be read" in said, said)
    (server.directory / "policy.yaml").write_text("version: 1\ntag_rules: [{name: a, tags: ['@semvr'], mutability: immutable}]\n")
    said = server.refuses()
    check("policy.yaml:2:30: pattern" in said and "no such preset" in said, said)
    server.remove()


def test_files_are_for_their_owner_alone(stele):
    with Server(stele) as server:
        put = put_manifest(server, "a", "1", manifest(push_blob(server, "a", b"{}")))
        check(put.status == 201, "pushed", put)
        start_upload(server, "a")
        open_to_others = [str(path) for path in [server.data, *server.data.rglob("*")] if stat.S_IMODE(path.lstat().st_mode) & 0o077]
        check(not open_to_others, f"open to others: {open_to_others}")


def test_metrics_on_a_listener_of_their_own(stele):
    port = held_port()
    with Server(stele, f"metrics: {{listen: '127.0.0.1:{port}'}}\n") as server:
        check(request(server, "GET", "/metrics").status == 404, "not on the main listener")
        check(request(server, "GET", "/readyz").status == 200, "readiness on both")
        there = ("127.0.0.1", port)
        for target, status in (("/metrics", 200), ("/livez", 200), ("/readyz", 200), ("/nothing", 404)):
            connection = Connection(server, address=there)
            connection.send(head("GET", target))
            answer = connection.read_answer("GET")
            check(answer.status == status, target, answer)
            connection.close()
        connection = Connection(server, address=there)
        connection.send(head("GET", "/v2/"))
        check(connection.read_answer("GET").status == 404, "no registry there")
        connection.close()


def test_the_command_line_speaks_to_the_server(stele):
    """Tables for people, --json for programs, exit codes for scripts."""
    with Server(stele) as server:
        config = push_blob(server, "app", b"{}")
        one, two = manifest(config, "one"), manifest(config, "two")
        for tag, content in (("1.0.0", one), ("latest", one), ("latest", two)):
            check(put_manifest(server, "app", tag, content).status == 201, tag)

        def run(*arguments, code=0, by=("--data", server.data)):
            done = subprocess.run([stele, *arguments, *by], capture_output=True, text=True, timeout=60)
            check(done.returncode == code, f"{arguments}: {done.returncode}, {done.stdout}{done.stderr}")
            check("\033" not in done.stdout, "colours only on a terminal")
            return done.stdout if code == 0 else done.stderr

        listed = run("tag", "list", "app").splitlines()
        check(listed[0].split() == ["TAG", "DIGEST", "MUTABILITY", "RULE", "PUSHED", "BY"], listed)
        check([line.split()[:4] for line in listed[1:]] == [["1.0.0", sha256(one)[:19], "immutable", "releases"],
                                                            ["latest", sha256(two)[:19], "mutable", "default"]], listed)
        tags = json.loads(run("tag", "list", "app", "--json"))["tags"]
        check([tag["digest"] for tag in tags] == [sha256(one), sha256(two)], tags)
        check("tag.set" in run("tag", "history", "app:latest"), "history")
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
        check(run("tag", "at", "app:latest", now).strip() == sha256(two), "at")
        run("tag", "at", "app:latest", "2001-01-01T00:00:00Z", code=4)
        run("tag", "at", "app:latest", "noon", code=2)
        check(f"points to {sha256(one)}" in run("tag", "rollback", "app:latest", "--reason", "broken"), "rollback")
        check("broken" in run("tag", "history", "app:latest"), "the reason is kept")
        check("is immutable (rule releases)" in run("tag", "promote", f"app@{sha256(two)}", "app:1.0.0", code=3), "refused")
        check(f"{sha256(two)} is now prod/app:2.0.0, prod/app:stable" in run("tag", "promote", f"app@{sha256(two)}", "prod/app:2.0.0", "--tag", "stable"), "promoted")
        url = f"http://{server.host}:{server.port}"
        check(json.loads(run("tag", "list", "prod/app", "--json", by=("--server", url)))["tags"][0]["tag"] == "2.0.0", "by URL")
        token = server.directory / "token"
        token.write_text("secret")
        for host in ("192.0.2.1", "localhost.example", "127.0.0.1:1@192.0.2.1"):
            said = run("tag", "list", "app", code=2, by=("--server", f"http://{host}", "--token-file", token))
            check("in the clear" in said, f"no token to {host} without TLS", said)
        run("tag", "list", "prod/app", by=("--server", url, "--token-file", token))
        with_proxy = subprocess.run([stele, "tag", "list", "app", "--data", server.data], capture_output=True, text=True, timeout=60,
                                    env={**os.environ, "ALL_PROXY": "socks5://127.0.0.1:1"})
        check(with_proxy.returncode == 0, "a proxy is not asked for the socket", with_proxy)
        run("tag", "list", "nobody", code=4)
        run("tag", "list", "app", code=1, by=("--data", server.directory / "nowhere"))
        run("tag", "list", "app", code=1, by=("--server", f"http://{server.host}:{held_port()}"))
        check("hold 1 (trial) is set on app:latest" in run("hold", "set", "trial", "app:latest", "--case", "77"), "hold")
        check(request(server, "DELETE", "/v2/app/manifests/latest").status == 409, "held")
        check(run("hold", "list").splitlines()[1].split()[:3] == ["1", "trial", "77"], "listed")
        run("hold", "release", "1", "--reason", "settled")
        check(request(server, "DELETE", "/v2/app/manifests/latest").status == 202, "released")
        check("immutable" in run("policy", "explain", "app:1.0.0") and sha256(one) in run("policy", "explain", "app:1.0.0"), "explained")
        check("locks go by 20" in run("clock", "show"), "clock")
        run("lock", "release", "app:1.0.0", "--reason", "none", code=4)


def test_upkeep_is_not_on_the_network(stele):
    with Server(stele) as server:
        for target in ("/api/v1/backup", "/api/v1/sweep?grace_seconds=0"):
            answer = request(server, "POST", target, body=b"")
            check(answer.status == 403 and "local socket" in answer.json()["errors"][0]["message"], target, answer)
        connection = Connection(server, address=server.data / "stele.sock")
        connection.send(head("GET", "/v2/"))
        check(connection.read_answer("GET").status == 404, "no registry on the socket")
        connection.send(head("POST", "/api/v1/sweep?grace_seconds=0", "Content-Length: 0"))
        answer = connection.read_answer("POST")
        check(answer.status == 200 and answer.json()["blobs_removed"] == 0, "a sweep", answer)
        connection.send(head("POST", "/api/v1/sweep?grace_seconds=-1", "Content-Length: 0"))
        check(connection.read_answer("POST").status == 400, "a bad grace")
        connection.close()
