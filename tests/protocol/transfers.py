"""Transfers that break off, hang or come from many at once. Each test_* function is a test."""
import itertools
import re
import socket
import threading

from common import IMAGE, check, head, manifest, put_manifest, sha256, start_upload
from wire import Connection, Server, eventually, generated, in_threads, push_blob, request


def test_a_thousand_ranges_are_served(stele):
    """podman's partial pulls ask for up to 1,024 parts in one line of 20 KB; of more everything is sent."""
    with Server(stele) as server:
        content = bytes(range(256)) * 8000
        digest = push_blob(server, "a", content)
        spans = [(1_000_000 + i * 900, 1_000_000 + i * 900 + 99) for i in range(1024)]
        line = "Range: bytes=" + ", ".join(f"{first}-{last}" for first, last in spans)
        check(16_000 < len(line) < 20_000, f"{len(line)}")
        answer = request(server, "GET", f"/v2/a/blobs/{digest}", [line])
        check(answer.status == 206, "all parts", answer)
        parts = answer.body.split(b"--stele-")[1:-1]
        check(len(parts) == 1024, f"{len(parts)} parts")
        check(all(content[first:last + 1] + b"\r\n" == part.split(b"\r\n\r\n", 1)[1] for part, (first, last) in zip(parts, spans)), "their bytes")
        more = request(server, "GET", f"/v2/a/blobs/{digest}", [line + ",2-3"])
        check(more.status == 200 and more.body == content, "1,025: everything", more)
        etag = request(server, "HEAD", f"/v2/a/blobs/{digest}").get("ETag")
        part = request(server, "GET", f"/v2/a/blobs/{digest}", ["Range: bytes=0-4", f"If-Range: {etag}"])
        check(part.status == 206 and part.body == content[:5], "If-Range with its ETag", part)
        whole = request(server, "GET", f"/v2/a/blobs/{digest}", ["Range: bytes=0-4", 'If-Range: "other"'])
        check(whole.status == 200 and whole.body == content, "If-Range with another", whole)


def test_a_manifest_with_gaps_is_not_taken_again_where_they_are_not_allowed(stele):
    gaps = "references: [{repositories: ['**'], mode: %s}]\n"
    with Server(stele, gaps % "sparse") as server:
        lacking = manifest("sha256:" + "0" * 64)
        check(put_manifest(server, "a", "1", lacking).status == 201, "sparse")
        server.stop()
        server.config.write_text(gaps % "strict")
        server.start()
        answer = put_manifest(server, "a", "2", lacking)
        check(answer.status == 400 and answer.code == "MANIFEST_BLOB_UNKNOWN", "strict", answer)
        check(request(server, "GET", "/v2/a/manifests/1").status == 200, "what is there stays")


def test_early_refusal_is_seen_by_a_client_that_goes_on_sending(stele):
    """Past what the server drains: a client that reads while it sends sees the answer before any reset."""
    with Server(stele) as server:
        connection = Connection(server)
        connection.send(head("PUT", "/v2/a/manifests/1", f"Content-Type: {IMAGE}", f"Content-Length: {1 << 30}"))
        answer = []
        reader = threading.Thread(target=lambda: answer.append(connection.read_answer("PUT")))
        reader.start()
        for _ in range(40):
            connection.send(b" " * (1 << 20))
        reader.join()
        check(answer and answer[0].status == 413 and answer[0].closes(), f"413: {answer}")
        check(connection.failed is None, f"40 MiB after the refusal are still taken: {connection.failed}")
        connection.close()


def test_a_body_that_breaks_off_is_never_taken_for_whole(stele):
    """All the bytes of the blob have come, only the end of the body has not: the digest would be right."""
    with Server(stele) as server:
        content = generated(300_000, "whole")
        digest = sha256(content)
        chunked = b"%x\r\n%s\r\n" % (len(content), content)
        breaks = {"length": (f"Content-Length: {len(content) + 1}", content), "chunk": ("Transfer-Encoding: chunked", chunked),
                  "last chunk": ("Transfer-Encoding: chunked", chunked + b"0\r\n"), "small": ("Content-Length: 20", b"0123456789")}
        for name, (framing, body) in breaks.items():
            wanted = sha256(b"0123456789") if name == "small" else digest
            upload = start_upload(server, "a")
            connection = Connection(server)
            connection.send(head("PUT", f"{upload}?digest={wanted}", framing) + body)
            connection.socket.shutdown(socket.SHUT_WR)
            answer = connection.read_answer("PUT")
            check(answer.status == 400, f"{name}: half-closed", answer)
            connection.close()
            check(request(server, "HEAD", f"/v2/a/blobs/{wanted}").status == 404, f"{name}: nothing was published")
            answer = request(server, "GET", upload)
            check(answer.status == 204, f"{name}: the session survives", answer)
            connection = Connection(server)
            connection.send(head("POST", f"/v2/a/blobs/uploads/?digest={wanted}", framing) + body)
            connection.socket.shutdown(socket.SHUT_WR)
            answer = connection.read_answer("POST")
            check(answer.status == 400, f"{name}: monolithic", answer)
            connection.close()
            check(request(server, "HEAD", f"/v2/a/blobs/{wanted}").status == 404, f"{name}: nothing was published")
            check(request(server, "DELETE", upload).status == 204, f"{name}: cancelled")
        image = manifest(push_blob(server, "a", b"{}"))
        connection = Connection(server)
        connection.send(head("PUT", "/v2/a/manifests/1", f"Content-Type: {IMAGE}", f"Content-Length: {len(image) + 1}") + image)
        connection.socket.shutdown(socket.SHUT_WR)
        check(connection.read_answer("PUT").status == 400, "a manifest that breaks off")
        check(request(server, "HEAD", "/v2/a/manifests/1").status == 404, "no manifest")
        server.count_files("uploads", 0)


def test_clients_that_leave_early_cost_nothing(stele):
    with Server(stele) as server:
        digest = push_blob(server, "a", generated(8 << 20, "early"))
        upload = start_upload(server, "a")

        def leave(number):
            connection = Connection(server)
            if number % 2:
                connection.send(head("GET", f"/v2/a/blobs/{digest}"))
                connection.fill()
            else:
                connection.send(head("PATCH", upload, "Content-Length: 1000000") + b"x" * (number * 1000))
            connection.close()
        in_threads(16, leave)

        def all_gone():
            text = request(server, "GET", "/metrics").body.decode()
            return re.search(r"(?m)^stele_connections_open 1$", text)
        eventually(all_gone, "the end of all connections")
        check(request(server, "GET", f"/v2/a/blobs/{digest}").body == generated(8 << 20, "early"), "served")


def test_no_pair_of_framing_headers_smuggles_a_request(stele):
    """Every pair of these lines, with a request behind it that would be seen if the two ends were told apart wrongly."""
    lines = ["Content-Length: 5", "Content-Length: 0", "content-length: 6", "Content-Length: 5, 5", "Content-Length : 5", "Content-Length: 05x",
             "Content-Length: \t5", "Content-Length: 4\r\n 5", "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "transfer-encoding: Chunked",
             "Transfer-Encoding: chunked, identity", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked",
             "Transfer-Encoding:\x0bchunked", "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked", "Transfer-Encoding: chunked\x00",
             " Transfer-Encoding: chunked", "Transfer-Encoding: ", "Transfer_Encoding: chunked", "Connection: Content-Length", "Host: y"]
    with Server(stele) as server:
        for number, (first, second) in enumerate(itertools.permutations(lines, 2)):
            raw = (f"POST /v2/ HTTP/1.1\r\nHost: x\r\n{first}\r\n{second}\r\n\r\n"
                   f"0\r\n\r\nGET /v2/smuggled{number} HTTP/1.1\r\nHost: x\r\n\r\n").encode("latin-1")
            connection = Connection(server)
            connection.send(raw)
            connection.socket.shutdown(socket.SHUT_WR)
            status = connection.read_answer("POST").status
            # Read by the standard's letter the body is unambiguous in these, and what follows it is a request.
            letter = [line.lower() for line in (first, second) if line not in ("Transfer_Encoding: chunked", "Connection: Content-Length")]
            lengths = [line for line in letter if re.fullmatch(r"content-length: \t?5", line)]
            empty = [line for line in letter if line == "content-length: 0" or not letter]
            six = [line for line in letter if line == "content-length: 6"]
            chunks = [line for line in letter if line == "transfer-encoding: chunked"]
            clear = len(letter) == len(lengths) + len(empty) + len(six) + len(chunks) and len(letter) <= 1
            check(status == 405 if clear else status in (400, 501), f"{first!r} and {second!r}: {status}")
            rest = b""
            while connection.fill():
                pass
            rest = connection.buffer
            if not clear:
                check(rest == b"", f"{first!r} and {second!r}: a second answer: {rest[:100]!r}")
            connection.close()
        check(not re.search(r"smuggled\d+\" 2", server.logged()), "no smuggled request was served")


def test_many_push_the_same_blob(stele):
    with Server(stele) as server:
        content = generated(700_000, "same")
        digests = in_threads(24, lambda number: push_blob(server, f"r{number % 6}", content))
        check(set(digests) == {sha256(content)}, "pushed")
        for number in range(6):
            check(request(server, "GET", f"/v2/r{number}/blobs/{digests[0]}").body == content, "served")
        server.count_files("blobs", 1)
        server.count_files("uploads", 0)


def test_one_session_has_one_writer(stele):
    with Server(stele) as server:
        upload = start_upload(server, "a")
        answers = in_threads(16, lambda number: request(server, "PATCH", upload, ["Content-Range: 0-99999"], bytes([number]) * 100_000))
        won = [number for number, answer in enumerate(answers) if answer.status == 202]
        check(len(won) == 1 and {answer.status for answer in answers} <= {202, 409, 416}, f"one has won: {[answer.status for answer in answers]}")
        content = bytes([won[0]]) * 100_000
        digest = sha256(content)
        answers = in_threads(16, lambda _: request(server, "PUT", f"{upload}?digest={digest}"))
        statuses = sorted(answer.status for answer in answers)
        check(201 in statuses and set(statuses) <= {201, 503}, f"each is told to come again or has what it wants: {statuses}")
        check(all(answer.get("Retry-After") for answer in answers if answer.status == 503), "when to come again")
        check("stele_uploads_finished_total 1\n" in request(server, "GET", "/metrics").body.decode(), "finished once")
        check(request(server, "GET", f"/v2/a/blobs/{digest}").body == content, "the winner's bytes")


def test_an_upload_whose_request_hangs_can_be_asked_and_is_not_disturbed(stele):
    with Server(stele) as server:
        content = generated(300_000, "hung")
        digest = sha256(content)
        upload = start_upload(server, "a")
        check(request(server, "PATCH", upload, body=content[:100_000]).get("Range") == "0-99999", "acknowledged")
        hung = Connection(server)
        # The server invites the body when the request has the session: from here on it is at work.
        hung.send(head("PATCH", upload, "Content-Length: 100000", "Expect: 100-continue"))
        check(hung.read_answer("PATCH").status == 100, "at work")
        hung.send(content[100_000:150_000])
        answer = request(server, "GET", upload)
        check(answer.status == 204 and answer.get("Range") == "0-99999", "what is acknowledged, at once", answer)
        answer = request(server, "PATCH", upload, ["Content-Range: 100000-199999"], content[100_000:200_000])
        check(answer.status == 409, "a second PATCH", answer)
        answer = request(server, "DELETE", upload)
        check(answer.status == 409, "a DELETE", answer)
        answer = request(server, "PUT", f"{upload}?digest={digest}", body=content[100_000:])
        check(answer.status == 503 and answer.get("Retry-After"), "a closing PUT comes again", answer)
        hung.send(content[150_000:200_000])
        answer = hung.read_answer("PATCH")
        check(answer.status == 202 and answer.get("Range") == "0-199999", "the first was not disturbed", answer)
        hung.close()
        check(request(server, "PUT", f"{upload}?digest={digest}", body=content[200_000:]).status == 201, "finished")
        check(request(server, "GET", f"/v2/a/blobs/{digest}").body == content, "whole")


def test_a_tag_that_many_move_is_always_one_of_theirs(stele):
    with Server(stele) as server:
        config = push_blob(server, "a", b"{}")
        images = [manifest(config, f"{number}") for number in range(12)]
        check(put_manifest(server, "a", "t", images[0]).status == 201, "pushed")

        def work(number):
            for turn in range(8):
                if number < 8:
                    check(put_manifest(server, "a", "t", images[(number + turn) % 12]).status == 201, "moved")
                else:
                    answer = request(server, "GET", "/v2/a/manifests/t")
                    check(answer.status == 200 and answer.body in images and answer.get("Docker-Content-Digest") == sha256(answer.body), "one of them", answer)
        in_threads(16, work)
        check(request(server, "GET", "/v2/a/tags/list").json()["tags"] == ["t"], "one tag")


def test_pushes_beside_deletions_leave_nothing_dangling(stele):
    """I2: a manifest that was acknowledged has its blob, whatever was deleted at the same time."""
    with Server(stele) as server:
        def work(number):
            for turn in range(12):
                if number % 2:
                    answer = request(server, "DELETE", f"/v2/a/blobs/{sha256(b'{}')}")
                    check(answer.status in (202, 404, 409), "deleted or needed", answer)
                else:
                    push_blob(server, "a", b"{}")
                    answer = put_manifest(server, "a", f"t{number}-{turn}", manifest(sha256(b"{}"), f"{number} {turn}"))
                    check(answer.status in (201, 400), "stored or refused", answer)
        in_threads(12, work)
        tags = request(server, "GET", "/v2/a/tags/list").json()["tags"]
        check(not tags or request(server, "GET", f"/v2/a/blobs/{sha256(b'{}')}").body == b"{}", "no tag dangles")
