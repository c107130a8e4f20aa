"""Whose an upload session is. Each test_* function is a test."""
from common import check, sha256, start_upload
from logins import ALICES, ask, basic, bearer, server_with_users, token_of
from robots import robot
from wire import Server, request

BOBS = basic("bob", "pässword:with colon")
RULES = """version: 1
access_rules:
  - {who: [authenticated, anonymous], repositories: ["**"], allow: [pull, push]}
"""


def begun(server, who, repository="app"):
    answer = request(server, "POST", f"/v2/{repository}/blobs/uploads/", who, body=b"")
    check(answer.status == 202, "a session", answer)
    return f"/v2/{repository}/blobs/uploads/{answer.get('Docker-Upload-UUID')}"


def is_unknown(server, session, who, digest, what):
    """By every road, and with the very words for one that was never begun."""
    uuid = session.rsplit("/", 1)[1]
    never = session.replace(uuid, len(uuid) * "0")
    for method, target, body in (("GET", "", None), ("PATCH", "", b"xxxx"), ("PUT", f"?digest={digest}", b"rest"), ("DELETE", "", None)):
        answer, other = (request(server, method, one + target, who, body=body) for one in (session, never))
        check(answer.status == 404 and answer.code == "BLOB_UPLOAD_UNKNOWN" and answer.get("Range") is None, f"{what}: {method}", answer)
        check(answer.message.replace(uuid, len(uuid) * "0") == other.message, f"{what}: {method}, as if it were not there", answer)


def test_an_upload_session_is_his_who_began_it(stele):
    """I9: of two who may push to a repository neither sees, changes, ends or cancels the other's, before and after a restart."""
    with server_with_users(stele) as server:
        policy = server.directory / "policy.yaml"
        policy.write_text(RULES)
        with server.config.open("a") as config:
            config.write(f"policy: {policy}\n")
        server.stop()
        server.start()
        ci, other = (basic(name, robot(server, name, ["**:pull,push"])) for name in ("ci", "other"))
        everybody = {"alice": ALICES, "bob": BOBS, "robot:ci": ci, "robot:other": other, "anonymous": []}
        for name, who in everybody.items():
            content = f"of {name}".encode()
            sessions = [begun(server, who) for _ in range(2)]     # with bytes, and without
            check(request(server, "PATCH", sessions[0], who, body=content[:4]).status == 202, name)
            for turn in ("before a restart", "after it"):
                if turn == "after it":
                    server.stop()
                    server.start()
                for stranger in everybody.keys() - {name}:
                    for session in sessions:
                        is_unknown(server, session, everybody[stranger], sha256(content), f"{name}'s, {stranger}, {turn}")
                check(request(server, "GET", sessions[0], who).get("Range") == "0-3", f"{name}: as it was, {turn}")
            # Another token of the same one goes on; each of them is made anew.
            for method, target, body, status in (("GET", "", None, 204), ("PATCH", "", content[4:6], 202), ("PUT", f"?digest={sha256(content)}", content[6:], 201)):
                token = bearer(token_of(ask(server, who, "repository:app:pull,push")))
                answer = request(server, method, sessions[0] + target, token, body=body)
                check(answer.status == status, f"{name}: {method} with another token", answer)
            check(request(server, "DELETE", sessions[1], who).status == 204, f"{name} cancels")


def test_where_nobody_logs_in_a_session_is_everybodys(stele):
    with Server(stele) as server:
        session = start_upload(server, "app")
        check(request(server, "PATCH", session, body=b"hello").status == 202, "one connection")
        check(request(server, "GET", session, ["Authorization: Basic YWxpY2U6eA=="]).get("Range") == "0-4", "what is presented is not looked at")
        server.stop()
        server.start()
        check(request(server, "PUT", f"{session}?digest={sha256(b'hello')}", body=b"").status == 201, "another one, after a restart")
