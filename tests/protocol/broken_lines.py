"""A line that breaks at any byte of any request of an upload: the request is sent again, and the client arrives where it
believes to be (docs/decisions/003-upload-sessions.md). Each test_* function is a test."""
import os
import re
import socket
import struct

from common import check, sha256
from wire import Connection, Failure, Server, eventually, request

CONTENT = bytes(range(256)) * 2
FIRST = 200     # bytes of the first chunk
STRIDE = int(os.environ.get("TEST_EVERY", "8"))     # of the cuts; TEST_EVERY=1 takes all of them


def text(server, method, target, body=None, *fields):
    """A request as it goes over the line."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {server.host}:{server.port}", *fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b"")


def cut_off(server, data, how):
    """Sends it, and is gone: in good order, by a reset, or with the line still open for what was sent."""
    connection = Connection(server)
    connection.send(data)
    if how == "reset":
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if how == "half":
        connection.socket.shutdown(socket.SHUT_WR)
        return connection
    connection.close()
    return None


def again(server, method, data):
    connection = Connection(server)
    try:
        connection.send(data)
        return connection.read_answer(method)
    finally:
        connection.close()


def offset(server, upload):
    """Asks until nobody is at work any more."""
    answer = request(server, "GET", upload)
    check(answer.status == 204, "the session is known", answer)
    return int(answer.get("Range").split("-")[1]) + 1 if answer.get("Range") not in (None, "0-0") else 0


def chunk(start, end):
    return [f"Content-Range: {start}-{end - 1}", "Content-Type: application/octet-stream"]


def complete(server, upload, digest):
    """As a client does whose line broke: from where the server is, then the end."""
    def moved_on():
        at = offset(server, upload)
        if at == len(CONTENT):
            return True
        answer = request(server, "PATCH", upload, chunk(at, len(CONTENT)), CONTENT[at:])
        if answer.status == 416 and at == 0:    # "0-0" says nothing, or one byte: the specification knows no other way
            answer = request(server, "PATCH", upload, chunk(1, len(CONTENT)), CONTENT[1:])
        check(answer.status in (202, 409, 416), "the rest", answer)
        return answer.status == 202
    eventually(moved_on, "all bytes are there")

    def closed():
        answer = request(server, "PUT", f"{upload}?digest={digest}", body=b"")
        check(answer.status in (201, 503), "the end", answer)
        return answer.status == 201
    eventually(closed, "the upload is closed")


def begin(server, repository):
    answer = request(server, "POST", f"/v2/{repository}/blobs/uploads/", body=b"")
    check(answer.status == 202, "a session", answer)
    return answer.get("Location")


def arrived(server, repository, digest, what):
    blob = request(server, "GET", f"/v2/{repository}/blobs/{digest}")
    check(blob.status == 200 and blob.body == CONTENT, what, blob)
    request(server, "DELETE", f"/v2/{repository}/blobs/{digest}")


def with_cuts(data):
    """(where, how) for each byte at which the line breaks; all of it sent and no answer read is one of them."""
    ways = ("closed", "reset", "half")
    cuts = sorted({*range(0, len(data), STRIDE), len(data) - 1, len(data)})
    return [(cut, ways[number % len(ways)]) for number, cut in enumerate(cuts)]


def test_a_chunk_that_breaks_off_at_any_byte(stele):
    digest = sha256(CONTENT)
    with Server(stele) as server:
        for start, end in ((0, FIRST), (FIRST, len(CONTENT))):
            shape = text(server, "PATCH", begin(server, "app"), CONTENT[start:end], *chunk(start, end))
            for cut, how in with_cuts(shape):
                upload, what = begin(server, "app"), f"PATCH {start}-{end} cut at {cut}, {how}"
                if start:
                    check(request(server, "PATCH", upload, chunk(0, start), CONTENT[:start]).status == 202, "the chunk before")
                data = text(server, "PATCH", upload, CONTENT[start:end], *chunk(start, end))
                line = cut_off(server, data[:cut], how)
                answer = again(server, "PATCH", data)
                check(answer.status in (202, 409, 416), what, answer)
                if answer.status == 416:
                    check(re.fullmatch(r"\d+-\d+", answer.get("Range") or ""), f"{what}: where it stands", answer)
                check(offset(server, upload) in range(start, end + 1), f"{what}: the bytes that came, and no others")
                complete(server, upload, digest)
                arrived(server, "app", digest, what)
                if line:
                    line.close()


def test_a_closing_put_that_breaks_off_at_any_byte(stele):
    digest = sha256(CONTENT)
    with Server(stele) as server:
        for fields, end in ((chunk(FIRST, len(CONTENT)), len(CONTENT)), ([], FIRST)):
            body = CONTENT[FIRST:end]
            start = FIRST if body else len(CONTENT)
            shape = text(server, "PUT", f"{begin(server, 'app')}?digest={digest}", body, *fields)
            for cut, how in with_cuts(shape):
                upload, what = begin(server, "app"), f"PUT with {len(body)} bytes cut at {cut}, {how}"
                check(request(server, "PATCH", upload, chunk(0, start), CONTENT[:start]).status == 202, "the chunks before")
                data = text(server, "PUT", f"{upload}?digest={digest}", body, *fields)
                line = cut_off(server, data[:cut], how)
                answer = again(server, "PUT", data)
                check(answer.status in (201, 416, 503), what, answer)
                if answer.status != 201:
                    known = request(server, "GET", upload)     # gone when the first one was finished meanwhile
                    check(known.status in (204, 404), what, known)
                    if known.status == 204:
                        complete_or_over(server, upload, digest)
                arrived(server, "app", digest, what)
                if line:
                    line.close()


def complete_or_over(server, upload, digest):
    """The first request may end the session at any moment: then the blob is there."""
    try:
        complete(server, upload, digest)
    except Failure:
        eventually(lambda: request(server, "PUT", f"{upload}?digest={digest}", body=b"").status == 201, "the end, sent again")


def test_other_requests_of_an_upload_that_break_off_at_any_byte(stele):
    digest = sha256(CONTENT)
    with Server(stele) as server:
        whole = text(server, "POST", f"/v2/app/blobs/uploads/?digest={digest}", CONTENT, "Content-Type: application/octet-stream")
        for cut, how in with_cuts(whole):
            line = cut_off(server, whole[:cut], how)
            answer = again(server, "POST", whole)
            check(answer.status == 201, f"POST with everything cut at {cut}, {how}", answer)
            arrived(server, "app", digest, f"POST cut at {cut}")
            if line:
                line.close()
        for cut, how in with_cuts(text(server, "POST", "/v2/app/blobs/uploads/", b"")):
            data = text(server, "POST", "/v2/app/blobs/uploads/", b"")
            line = cut_off(server, data[:cut], how)
            answer = again(server, "POST", data)
            check(answer.status == 202, f"POST cut at {cut}, {how}", answer)
            check(request(server, "DELETE", answer.get("Location")).status == 204, "a session of its own")
            if line:
                line.close()
        for method, allowed in (("GET", (204,)), ("DELETE", (204, 404, 409))):
            for cut, how in with_cuts(text(server, method, begin(server, "app"))):
                upload, what = begin(server, "app"), f"{method} cut at {cut}, {how}"
                check(request(server, "PATCH", upload, chunk(0, FIRST), CONTENT[:FIRST]).status == 202, "a chunk")
                data = text(server, method, upload)
                line = cut_off(server, data[:cut], how)
                answer = again(server, method, data)
                check(answer.status in allowed, what, answer)
                if method == "GET":
                    check(offset(server, upload) == FIRST, what)
                    complete(server, upload, digest)
                    arrived(server, "app", digest, what)
                else:
                    eventually(lambda upload=upload: request(server, "DELETE", upload).status == 404, f"{what}: gone")
                if line:
                    line.close()
        eventually(lambda: not list((server.data / "uploads").iterdir()), "no file of an upload is left")
