"""What one client may take of the server (I10). Each test_* function is a test."""
import fcntl
import os
import re
import select
import socket
import subprocess
import time
from pathlib import Path

from common import IMAGE, check, head, manifest, measures_memory, most_resident, put_manifest, sha256, start_upload, taken, tls_server
from wire import SERVES, Caller, Connection, Failure, Server, die_with_parent, eventually, generated, push_blob, request


def test_no_descriptor_is_left_by_any_way_a_request_ends(stele):
    """I10. A pool's thread opens the catalog when it reads for the first time, so the count rises for a while."""
    with Server(stele) as server:
        def descriptors():
            return len(os.listdir(f"/proc/{server.process.pid}/fd"))

        def round_of(number):
            content = generated(100_000, f"descriptors {number}")
            digest = push_blob(server, "a", content)
            image = manifest(digest, str(number))
            check(put_manifest(server, "a", f"t{number}", image).status == 201, "no manifest")
            for method, target, headers in (("GET", f"/v2/a/manifests/t{number}", ()), ("HEAD", f"/v2/a/blobs/{digest}", ()), ("GET", f"/v2/a/blobs/{digest}", ()),
                                            ("GET", f"/v2/a/blobs/{digest}", ("Range: bytes=5-9",)), ("GET", f"/v2/a/blobs/{digest}", ("Range: bytes=900000-",)),
                                            ("GET", f"/v2/a/blobs/{sha256(b'none')}", ()), ("GET", "/v2/a/manifests/none", ()), ("GET", "/v2/a/tags/list", ()),
                                            ("POST", f"/v2/b/blobs/uploads/?mount={digest}&from=a", ()), ("DELETE", f"/v2/a/manifests/t{number}", ()),
                                            ("GET", "/none", ()), ("PUT", "/v2/a/manifests/x", ("Content-Type: a/b",))):
                request(server, method, target, headers)
            request(server, "GET", "/api/v1/holds", address=server.data / "stele.sock")
            # Uploads that are finished in pieces, cancelled, wrong, broken off in the middle.
            upload = start_upload(server, "a")
            request(server, "PATCH", upload, body=content[:10])
            check(request(server, "PUT", f"{upload}?digest={sha256(content[:10])}").status == 201, "not finished")
            upload = start_upload(server, "a")
            request(server, "PATCH", upload, body=content)
            request(server, "DELETE", upload)
            upload = start_upload(server, "a")
            check(request(server, "PUT", f"{upload}?digest={digest}", body=b"other").status == 400, "taken")
            cut = Connection(server)
            cut.send(head("PATCH", start_upload(server, "a"), f"Content-Length: {len(content)}") + content[:50_000])
            cut.close()
            left = Connection(server)
            left.send(head("GET", f"/v2/a/blobs/{digest}"))
            left.fill()
            left.close()

        for number in range(20):
            round_of(number)
        counts = [descriptors()]
        for number in range(20, 60):
            round_of(number)
        # A connection that was just left may still be counted.
        eventually(lambda: counts.append(descriptors()) or counts[-1] < counts[0] + 20, f"the end of a leak: {counts[0]} after 20 rounds")


def test_connection_limit(stele):
    with Server(stele, "limits: {connections: 3}\n") as server:
        held = [Connection(server) for _ in range(3)]
        for connection in held:
            connection.send(head("GET", "/v2/"))
            check(connection.read_answer("GET").status == 200, "served")
        over = Connection(server)
        over.send(head("GET", "/v2/"))
        answer = over.read_answer("GET")
        check(answer.status == 503 and answer.closes() and answer.code == "UNAVAILABLE" and "limits.connections" in answer.message, "503", answer)
        check(answer.all("Retry-After") == ["5"], "one Retry-After", answer)
        check(answer.get("Content-Type") == "application/json"
              and answer.get("Docker-Distribution-API-Version") == "registry/2.0", "the form of every error", answer)
        check(over.at_end(), "closed")
        held[0].send(head("GET", "/metrics"))
        check(re.search(r"(?m)^stele_connections_refused_total 1$", held[0].read_answer("GET").body.decode()), "counted")
        held.pop().close()

        def served():
            connection = Connection(server)
            connection.send(head("GET", "/v2/", "Connection: close"))
            status = connection.read_answer("GET").status
            connection.close()
            return status == 200
        eventually(served, "room after one has left")
        for connection in held:
            connection.close()


def test_connection_limit_over_tls(stele):
    server, authority = tls_server(stele)
    server.config.write_text(server.config.read_text() + "limits: {connections: 1}\n")
    with server:
        context = authority.client()
        held = Connection(server, context)
        held.send(head("GET", "/v2/"))
        check(held.read_answer("GET").status == 200, "served")
        answer = request(server, "GET", "/v2/", tls=context)
        check(answer.status == 503 and answer.closes() and "limits.connections" in answer.message, "503", answer)
        held.close()


def test_beyond_what_can_be_refused_with_words(stele):
    """Past the limit a few more are answered; the rest find the connection closed, and all are served once there is room."""
    with Server(stele, "limits: {connections: 2}\n") as server:
        crowd = [Connection(server) for _ in range(200)]
        for connection in crowd:
            connection.send(head("GET", "/v2/"))
        seen = {"served": 0, "refused": 0, "closed": 0}
        for connection in crowd:
            if connection.at_end():
                seen["closed"] += 1
                continue
            answer = connection.read_answer("GET")
            seen["served" if answer.status == 200 else "refused"] += answer.status in (200, 503)
        for connection in crowd:
            connection.close()
        check(seen["served"] >= 2 and seen["refused"] >= 1 and sum(seen.values()) == 200, f"{seen}")

        def served():
            try:
                return request(server, "GET", "/v2/").status == 200
            except Failure:
                return False    # closed, while the server still learns that the others have left

        eventually(served, "room after they have left")


def test_what_comes_behind_the_last_request_costs_no_answer(stele):
    """Bytes behind a request with Connection: close are read away: a reset would take the answer with it."""
    with Server(stele) as server:
        digest = push_blob(server, "a", generated(3 << 20, "behind"))
        for _ in range(20):
            connection = Connection(server)
            connection.send(head("GET", f"/v2/a/blobs/{digest}", "Connection: close") + b"x" * 100_000)
            answer = connection.read_answer("GET")
            check(answer.status == 200 and sha256(answer.body) == digest, "complete", answer)
            connection.close()


def test_limits_of_head_and_manifest(stele):
    with Server(stele, "limits: {header_bytes: 4KiB, manifest_bytes: 4000000}\n") as server:
        check(request(server, "GET", "/v2/", [f"X-Filler: {'a' * 3000}"]).status == 200, "below")
        check(request(server, "GET", "/v2/", [f"X-Filler: {'a' * 4100}"]).status == 431, "above")
        answer = put_manifest(server, "a", "1", b" " * 4000001)
        check(answer.status == 413 and "4000000" in answer.message, "413", answer)
        answer = put_manifest(server, "a", "1", b" " * 4000000)
        check(answer.status == 400, "not JSON, but not too large", answer)


def test_a_large_manifest_is_parsed_by_no_thread_that_answers(stele):
    """I10, A12. By the processor time of the server's threads."""
    content = b'{"x":[' + b",".join([b"[]"] * 500_000) + b"]}"
    with Server(stele) as server:
        def used():
            """Ticks of the threads that answer, and of all others; how many those that answer are."""
            ticks = [0, 0, 0]
            for task in Path(f"/proc/{server.process.pid}/task").iterdir():
                name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
                ticks[name != "stele-io"] += sum(map(int, rest.split()[11:13]))
                ticks[2] += name == "stele-io"
            return ticks
        before = used()
        for _ in range(5):
            check(put_manifest(server, "a", "x", content).status == 400, "it is none")
        after = used()
        answering, others = after[0] - before[0], after[1] - before[1]
        check(after[2] >= 2 and answering < others, f"{answering} ticks in the {after[2]} threads that answer, {others} elsewhere")


@measures_memory
def test_slow_readers_of_a_large_manifest_share_its_bytes(stele):
    with Server(stele) as server:
        image = manifest(push_blob(server, "a", b"{}"), "n" * 3_000_000)
        check(put_manifest(server, "a", "big", image).status == 201, "pushed")
        check(request(server, "GET", "/v2/a/manifests/big").body == image, "pulled")
        before = most_resident(server)
        slow = []
        for _ in range(100):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(head("GET", "/v2/a/manifests/big"))
            check(connection.recv(12) == b"HTTP/1.1 200", "each is served")
            slow.append(connection)
        grown = most_resident(server) - before
        check(grown < 40_000_000, f"100 slow readers of 3 MB took {grown:,} bytes (I10)")
        check(request(server, "GET", "/v2/a/manifests/big").body == image, "others are served")
        for connection in slow:
            connection.close()


@measures_memory
def test_slow_writers_of_large_manifests_do_not_fill_the_memory(stele):
    with Server(stele) as server:
        config = push_blob(server, "a", b"{}")
        large, small = manifest(config, "n" * 3_000_000), manifest(config)
        before = most_resident(server)
        sending, slow, refused = {}, [], 0
        for _ in range(60):
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(head("PUT", "/v2/a/manifests/x", f"Content-Type: {IMAGE}", f"Content-Length: {len(large)}"))
            connection.setblocking(False)
            sending[connection] = memoryview(large)[:-1]
            slow.append(connection)
        deadline = time.monotonic() + 120
        while refused < 50:  # of 60: there is room for a few
            check(time.monotonic() < deadline, f"60 bodies of 3 MB were held at once, {refused} were refused (I10)")
            readable, writable, _ = select.select(list(sending), [c for c, rest in sending.items() if rest], [], 1)
            for connection in readable:
                check(connection.recv(12) == b"HTTP/1.1 503", "what there is no room for is answered 503")
                refused += 1
                del sending[connection]
            for connection in writable:
                if connection in sending:
                    sending[connection] = sending[connection][connection.send(sending[connection]):]
        grown = most_resident(server) - before
        check(grown < 60_000_000, f"60 slow writers of 3 MB took {grown:,} bytes (I10)")
        check(put_manifest(server, "a", "small", small).status == 201, "a small one is taken meanwhile")
        for connection in slow:
            connection.close()
        eventually(lambda: put_manifest(server, "a", "big", large).status == 201, "room again when they have left")


class Unread(Server):
    """Its standard output and standard error are pipes, of which the test reads what it wants to."""

    def start(self):
        (self.reads, writes), (self.errors, error_writes) = os.pipe(), os.pipe()
        fcntl.fcntl(error_writes, fcntl.F_SETPIPE_SZ, 4096)
        self.log_from = 0
        self.process = subprocess.Popen([self.stele, "serve", "--config", self.config, "--listen", "127.0.0.1:0", "--data", self.data],
                                        stdin=subprocess.DEVNULL, stdout=writes, stderr=error_writes, preexec_fn=die_with_parent)
        os.close(writes)
        os.close(error_writes)
        self.output, self.complaints = open(self.reads, "rb", buffering=0), open(self.errors, "rb", buffering=0)
        said = b""
        while not (serves := SERVES.search(said.decode())) or b"docker push" not in said or not said.endswith(b"\n"):
            piece = self.output.read(4096)
            check(piece, "it serves")
            said += piece
        self.port = int(serves[2])
        return self

    def remove(self):
        self.output.close()
        self.complaints.close()
        super().remove()


def slow_push(server, digest, framing, begin):
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(head("POST", f"/v2/a/blobs/uploads/?digest={digest}", framing) + begin)
    return connection


@measures_memory
def test_slow_writers_of_blobs_share_what_there_is(stele):
    with Server(stele) as server:
        content = generated(1_000_000, "pushed")
        digest, half = sha256(content), content[:150_000]
        before = most_resident(server)
        slow = [slow_push(server, digest, f"Content-Length: {len(content)}", half) for _ in range(200)]
        slow += [slow_push(server, digest, "Transfer-Encoding: chunked", b"%x\r\n" % len(content) + half) for _ in range(200)]
        slow += [slow_push(server, digest, "Content-Length: 60000", content[:59_999]) for _ in range(200)]
        taken(server)
        grown = most_resident(server) - before
        check(grown < 40_000_000, f"600 slow writers of blobs took {grown:,} bytes (I10)")
        other = generated(300_000, "another's")
        check(push_blob(server, "b", other) == sha256(other), "an honest client pushes meanwhile")
        # Who goes on is served: none of their bytes was lost.
        slow[199].sendall(content[150_000:])
        slow[399].sendall(content[150_000:] + b"\r\n0\r\n\r\n")
        for connection in (slow[199], slow[399]):
            check(connection.recv(12) == b"HTTP/1.1 201", "and those who go on")
        check(request(server, "GET", f"/v2/a/blobs/{digest}").body == content, "whole")
        for connection in slow:
            connection.close()


@measures_memory
def test_what_comes_behind_a_request_is_counted(stele):
    with Server(stele) as server:
        content = b"c" * 20_000
        first = head("POST", f"/v2/a/blobs/uploads/?digest={sha256(b'another')}", "Transfer-Encoding: chunked") + b"%x\r\n%s\r\n0\r\n\r\n" % (len(content), content)
        check(request(server, "GET", "/v2/").status == 200, "up")
        before = most_resident(server)
        slow = []
        for _ in range(1200):
            connection = socket.create_connection(("127.0.0.1", server.port))
            connection.sendall(first + head("GET", "/v2/", "X-Filler: " + "h" * 30_000)[:-2])
            check(connection.recv(12) == b"HTTP/1.1 400", "the first is answered, and not stored: that would only take time")
            slow.append(connection)
        taken(server)
        grown = most_resident(server) - before
        check(grown < 34_000_000, f"1,200 heads of 30,000 bytes behind a request took {grown:,} bytes (I10)")
        for connection in slow:
            connection.close()


@measures_memory
def test_a_session_keeps_no_memory_for_what_it_has_written(stele):
    with Server(stele) as server:
        few = generated(60_000, "few")
        connection = Connection(server)
        before = most_resident(server)
        for _ in range(500):
            connection.send(head("POST", "/v2/a/blobs/uploads/", "Content-Length: 0"))
            place = connection.read_answer("POST").get("Location")
            connection.send(head("PATCH", place, f"Content-Length: {len(few)}") + few)
            check(connection.read_answer("PATCH").status == 202, "taken")
        grown = most_resident(server) - before
        check(grown < 12_000_000, f"500 sessions with 60,000 bytes each took {grown:,} bytes (I10)")


def test_a_chunked_body_is_the_same_however_it_is_cut(stele):
    with Server(stele) as server:
        content = generated(900, "chunks")
        digest = sha256(content)
        lines = [b"%x;name=%s\r\n%s\r\n" % (len(piece), b"v" * 30, piece) for piece in (content[:1], content[1:17], content[17:600], content[600:])]
        body = b"".join(lines) + b"0\r\nTrailer: x\r\n\r\n"
        for cut in range(1, len(body), 13):
            connection = Connection(server)
            connection.send(head("POST", f"/v2/a{cut}/blobs/uploads/?digest={digest}", "Transfer-Encoding: chunked") + body[:cut])
            taken(server)
            connection.send(body[cut:] + head("GET", f"/v2/a{cut}/blobs/{digest}"))
            check(connection.read_answer("POST").status == 201, f"cut at {cut}")
            check(connection.read_answer("GET").body == content, f"cut at {cut}: the next request on the connection")
            connection.close()
        for length, status in ((3000, 201), (5000, 400)):     # of a line that does not end: nobody keeps that
            connection = Connection(server)
            connection.send(head("POST", f"/v2/l{length}/blobs/uploads/?digest={digest}", "Transfer-Encoding: chunked") +
                            b"%x;%s" % (len(content), b"e" * length))
            taken(server)
            connection.send(b"\r\n%s\r\n0\r\n\r\n" % content)
            answer = connection.read_answer("POST")
            check(answer.status == status, f"an extension of {length} bytes", answer)
            connection.close()


def test_nobody_waits_for_who_reads_the_access_log(stele):
    """I10. Standard output is full and nobody reads it: requests go on, what was lost is counted, and said when it is read again; a stop goes on too."""
    with Unread(stele) as server:
        caller, sent = Caller(server), 0
        # What the pipe holds, what is being written, and what waits: 64 KiB and twice 1 MiB.
        while sent < 1500:
            check(caller.request("GET", f"/none?{sent}={'x' * 1900}").status == 404, f"request {sent}")
            sent += 1
        text = caller.request("GET", "/metrics").body.decode()
        sent += 1
        caller.close()
        lost = int(re.search(r"(?m)^stele_access_log_lost_total (\d+)", text)[1])
        check(lost > 0, "lines were lost")
        rest, lines, told = b"", 0, 0
        while lines + told < sent:
            piece = server.output.read(65536)
            check(piece, f"{lines} lines and {told} lost of {sent}")
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                missing = re.search(rb" - (\d+) lines of requests were lost", line)
                told, lines = told + (int(missing[1]) if missing else 0), lines + (0 if missing else 1)
        check(lines + told == sent and told >= lost, f"{lines} lines and {told} lost of {sent}")
        for number in range(100):   # more than the pipe holds
            check(caller.request("GET", f"/none?{number}={'x' * 1900}").status == 404, f"request {number} before the stop")
        caller.close()
        check(server.stop() == 0, "it stops beside a pipe that nobody reads")


def test_nobody_waits_for_who_reads_the_messages(stele):
    """I7, I10. Each answer of a store that fails is a message on standard error, which is full and which nobody reads."""
    with Unread(stele, "log: {access: off}\n") as server:
        image = manifest(push_blob(server, "a", b"{}"))
        check(put_manifest(server, "a", "damaged", image).status == 201, "no manifest")
        server.sql("UPDATE manifests SET checksum = 1")
        caller, target = Caller(server), f"/v2/a/manifests/damaged?{'x' * 200}"
        for number in range(1200):
            answer = caller.request("GET", target)
            check(answer.status == 500, f"request {number}", answer)
        caller.close()
        said = b""
        while not (lost := re.search(rb"(\d+) messages were lost before this one", said)):
            piece = server.complaints.read(65536)
            check(piece, said[-300:])
            said += piece
        check(int(lost[1]) > 0 and said.count(b"answered 500") + int(lost[1]) <= 1500, lost[0])
        for number in range(100):
            check(caller.request("GET", target).status == 500, f"request {number} before the stop")
        caller.close()
        check(server.stop() == 0, "it stops beside a pipe that nobody reads")
