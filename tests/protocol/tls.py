"""TLS: certificates, their change, client certificates. Each test_* function is a test."""
import contextlib
import signal
import socket
import ssl

from common import Authority, check, head, measures_memory, most_resident, tls_server
from wire import Connection, Failure, Server, eventually, generated, push_blob, request


def presented_serial(server, context):
    connection = Connection(server, context)
    try:
        return connection.socket.getpeercert()["serialNumber"]
    finally:
        connection.close()


def test_tls(stele):
    server, authority = tls_server(stele)
    with server:
        check("serves https://" in server.said(), server.said())
        context = authority.client()
        content = generated(5 << 20, "tls")
        digest = push_blob(server, "a", content, context)
        check(request(server, "GET", f"/v2/a/blobs/{digest}", tls=context).body == content, "the blob comes back")
        answer = request(server, "GET", f"/v2/a/blobs/{digest}", ["Range: bytes=100-199,1000000-3000000"], tls=context)
        check(answer.status == 206 and content[100:200] in answer.body and content[1000000:3000001] in answer.body, "ranges")
        context.set_alpn_protocols(["h2", "http/1.1"])
        connection = Connection(server, context)
        check(connection.socket.selected_alpn_protocol() == "http/1.1", "ALPN")
        check(connection.socket.version() in ("TLSv1.2", "TLSv1.3"), connection.socket.version())
        for _ in range(3):
            connection.send(head("GET", "/v2/"))
            check(connection.read_answer("GET").status == 200, "kept alive")
        connection.close()
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            Connection(server, ssl.create_default_context()).close()
            raise Failure("a client that does not know the authority must not be content: the test is wrong")
        old = authority.client()
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        try:
            Connection(server, old).close()
            raise Failure("TLS 1.1 was accepted")
        except (ssl.SSLError, ConnectionError):
            pass
        plain = Connection(server)
        plain.send(head("GET", "/v2/"))
        while plain.fill():
            pass
        check(not plain.buffer.startswith(b"HTTP/1.1 2"), f"plain HTTP is not served: {plain.buffer[:100]!r}")
        check(request(server, "GET", "/v2/", tls=context).status == 200, "still served")
        check(server.stop() == 0, "stopped")


@contextlib.contextmanager
def blob_over_tls(stele):
    server, authority = tls_server(stele)
    with server:
        context, content = authority.client(), generated(8 << 20, "slowly")
        yield server, context, content, push_blob(server, "a", content, context)


def slow_reader(server, context, digest):
    """Asks for a blob and has taken the first bytes of the answer."""
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plain.connect((server.host, server.port))
    connection = context.wrap_socket(plain, server_hostname="localhost")
    connection.sendall(head("GET", f"/v2/a/blobs/{digest}"))
    check(connection.recv(12) == b"HTTP/1.1 200", "each is served")
    return connection


def test_a_slow_reader_gets_every_byte(stele):
    with blob_over_tls(stele) as (server, context, content, digest):
        slow = [slow_reader(server, context, digest) for _ in range(3)]
        for connection in slow:
            received = bytearray()
            while len(received) < len(content):
                piece = connection.recv(1 << 16)
                check(piece, "the body ends early")
                received += piece
                if b"\r\n\r\n" in received[:1000]:
                    del received[:received.index(b"\r\n\r\n") + 4]
            check(received == content, "every byte, in order")
            connection.close()


@measures_memory
def test_nothing_is_kept_for_slow_readers(stele):
    with blob_over_tls(stele) as (server, context, content, digest):
        check(request(server, "GET", f"/v2/a/blobs/{digest}", tls=context).body == content, "quickly")
        before = most_resident(server)
        slow = [slow_reader(server, context, digest) for _ in range(300)]
        grown = most_resident(server) - before
        check(grown < 300 * 40_000, f"300 slow readers over TLS took {grown:,} bytes (I10)")
        for connection in slow:
            connection.close()


def test_client_certificates(stele):
    server, authority = tls_server(stele, client_ca=True)
    authority.issue("alice", "alice", 7)
    with server:
        answer = request(server, "GET", "/v2/", tls=authority.client("alice"))
        check(answer.status == 200, "with a certificate", answer)
        server.wait_log(f'{answer.get("X-Request-Id")} 127\\.0\\.0\\.1 "cert:alice" GET "/v2/" 200')
        authority.issue("eve", "eve\x1b[2J", 9)
        answer = request(server, "GET", "/v2/", tls=authority.client("eve"))
        server.wait_log(f'{answer.get("X-Request-Id")} 127\\.0\\.0\\.1 "?anonymous"? GET "/v2/" 200')
        other = Server(stele)
        stranger = Authority(other.directory)
        stranger.issue("alice", "alice", 8)
        for what, context in (("without", authority.client()), ("with a stranger's", authority.client())):
            if what != "without":
                context.load_cert_chain(stranger.directory / "alice.crt", stranger.directory / "alice.key")
            try:
                answer = request(server, "GET", "/v2/", tls=context)
                raise Failure(f"served {what} certificate", answer)
            except (ssl.SSLError, ConnectionError):
                pass
            except Failure as failure:      # TLS 1.3: the alert comes after the handshake
                check("ended before an answer" in str(failure), str(failure))
        other.remove()


def test_certificates_are_read_again(stele):
    server, authority = tls_server(stele)
    with server:
        context = authority.client()
        check(presented_serial(server, context) == "01", "the first")
        held = Connection(server, context)
        authority.issue("server", "localhost", 2)
        server.signal(signal.SIGHUP)
        eventually(lambda: presented_serial(server, context) == "02", "the second, on SIGHUP")
        authority.issue("server", "localhost", 3)
        eventually(lambda: presented_serial(server, context) == "03", "the third, for the file has changed")
        authority.cert.write_text("no certificate")
        server.wait_log("the old ones stay in force")
        check(presented_serial(server, context) == "03", "a broken file changes nothing")
        held.send(head("GET", "/v2/"))
        check(held.read_answer("GET").status == 200, "old connections go on")
        held.close()
        authority.issue("server", "localhost", 4)
        eventually(lambda: presented_serial(server, context) == "04", "the fourth, when the file is whole again")


def test_broken_tls_files_keep_the_server_from_starting(stele):
    server, authority = tls_server(stele)
    whole = authority.cert.read_text()
    authority.cert.write_text("nonsense")
    said = server.refuses()
    check("tls.cert" in said and str(authority.cert) in said, said)
    authority.cert.write_text(whole)
    authority.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "server.key")
    said = server.refuses()
    check("tls.key" in said, said)
    server.remove()
