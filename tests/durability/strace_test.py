#!/usr/bin/env python3
"""What the kernel saw: before an acknowledgement leaves the socket, what it acknowledges is synced, in the right order.

  strace_test.py [--stele BINARY] [--dir DIR] [--no-server]

Three parts: doctored traces, in each of which one step is missing or out of place, must be refused; the server's own
trace must be accepted; and a server whose syncs are taken away by a library (faults.c: "skip") must be refused.
"""
import dataclasses
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from registry import IMAGE, Failure, Registry, build_shim, digest_of, image, main, need  # noqa: E402

CALLS = ("openat,mkdir,mkdirat,write,pwrite64,writev,ftruncate,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,"
         "unlinkat,sendmsg,sendto")


@dataclasses.dataclass
class Call:
    """One system call. A send counts from its beginning, everything else from its end."""
    name: str
    path: str = ""       # of the descriptor, or what is renamed
    data: str = ""       # what is written at an offset, as strace shows it
    to: str = ""
    status: int = 0      # of the HTTP answer that it sends
    request: str = ""    # and that answer's X-Request-Id
    cut: bool = False    # a send whose end is not in the trace


def parse(lines):
    """The calls in the order in which they took effect; what failed or never ended had none, but a send that never ended.

    When the process is killed, strace may show for a second thread, about to enter some other call, the send that another
    thread is in: it has no more to ask of that thread than what it read last. A send without an end of an answer that was
    being sent already is therefore no second answer.
    """
    calls, unfinished, sending = [], {}, {}
    for line in lines:
        thread, _, text = line.strip().partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            text = text.removesuffix("<unfinished ...>").rstrip()
            if text.startswith(("sendmsg(", "sendto(", "writev(")):
                sending[thread] = understand(text)
                for call in sending[thread]:
                    call.cut = True
                calls += sending[thread]
            else:
                unfinished[thread] = text
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", text)
        if resumed:
            if thread in sending:
                begun = sending.pop(thread)
                if re.search(r"\)\s+= (-1 |\? ERESTART)", text):   # nothing was sent: it is tried again, and counts then
                    calls = [call for call in calls if not any(call is one for one in begun)]
                for call in begun:
                    call.cut = not re.search(r"\)\s+= \d", text)
                continue
            if thread not in unfinished:
                continue
            text = unfinished.pop(thread) + resumed.group(1)
        if re.search(r"\)\s+= -1 ", text) or not re.search(r"\)\s+= ", text) or "(INJECTED)" in text:
            continue
        calls += understand(text)
    answered, seen = set(), []
    for call in calls:
        if call.name == "send" and call.request:
            if call.cut and call.request in answered:
                continue
            answered.add(call.request)
        seen.append(call)
    return seen


def understand(text):
    name, _, rest = text.partition("(")
    if name in ("sendmsg", "sendto", "writev", "write"):
        answer = re.search(r'"HTTP/1\.1 (\d+) ', rest)
        if answer:
            request = re.search(r"X-Request-Id: (\w+)", rest)
            return [Call("send", status=int(answer.group(1)), request=request.group(1) if request else "")]
    if name in ("fsync", "fdatasync", "write", "pwrite64"):
        path = re.match(r"\d+<([^>]*)>", rest)
        kind = "write" if name == "pwrite64" else "sync" if "sync" in name else name
        return [Call(kind, path.group(1), data=rest if name == "pwrite64" else "")] if path else []
    if name.startswith(("rename", "link")):
        paths = re.findall(r'"([^"]*)"', rest)
        return [Call("rename", paths[0], to=paths[1])] if len(paths) == 2 else []
    if name.startswith("mkdir"):
        path = re.search(r'"([^"]*)"', rest)
        return [Call("mkdir", path.group(1))]
    return []


def windows(calls):
    """The calls before each answer that acknowledges something, one list per answer: (status, calls)."""
    found, before = [], []
    for call in calls:
        if call.name == "send":
            found.append((call.status, before))
            before = []
        else:
            before.append(call)
    return found


def last(calls, name, path):
    """The position of the last call of this name on a path that contains `path`; -1: none."""
    return max((i for i, call in enumerate(calls) if call.name == name and path in call.path), default=-1)


LOG = "/stele.db-wal"


def catalog_fault(calls, after, mark):
    """Is the row that bears `mark` (the request's id, its digest, its upload) on the disk, written after `after`?

    The catalog has other writers, whose batches may come between our sync and our answer, or before our write: they
    prove nothing and spoil nothing.
    """
    wrote = next((i for i, call in enumerate(calls) if i > after and call.name == "write" and LOG in call.path and mark in call.data), -1)
    if wrote < 0:
        return f"no row with {mark} was written to the catalog's log" + (" after the file was in its place" if after >= 0 else "")
    if last(calls, "sync", LOG) < wrote:
        return "the catalog's log was not synced"
    return ""


def upload_fault(calls, size, data="/uploads/"):
    """Are the bytes that this request brought on the disk?"""
    wrote, synced = last(calls, "write", data), last(calls, "sync", data)
    if size and wrote < 0:
        return "nothing was written to the upload's file"
    if size and synced < wrote:
        return "the upload's file was not synced after the last write"
    return ""


def publish_fault(calls, size, digest, mark=""):
    """201 for a blob: file synced → renamed → directory synced → catalog written and synced."""
    fault = upload_fault(calls, size)
    if fault:
        return fault
    hexadecimal = digest.split(":")[1]
    renamed = max((i for i, call in enumerate(calls) if call.name == "rename" and call.to.endswith(hexadecimal)), default=-1)
    if renamed < 0:
        return "the file did not get its name"
    if last(calls, "sync", "/uploads/") > renamed or (size and last(calls, "sync", "/uploads/") < 0):
        return "the upload's file was synced after it was renamed"
    shard = calls[renamed].to.rpartition("/")[0]
    synced = max((i for i, call in enumerate(calls) if call.name == "sync" and call.path.endswith(shard[shard.index("/blobs/"):])), default=-1)
    if synced < renamed:
        return "the blob's directory was not synced after the rename"
    made = max((i for i, call in enumerate(calls) if call.name == "mkdir" and call.path == shard), default=-1)
    parent = shard.rpartition("/")[0]
    if made >= 0 and not any(call.name == "sync" and call.path.endswith(parent[parent.index("/blobs/"):]) for call in calls[made:]):
        return "the directory that was made for the blob was not synced into its parent"
    return catalog_fault(calls, synced, mark or hexadecimal)


def patch_fault(calls, size, upload):
    """202 to PATCH: bytes synced → catalog written and synced."""
    return upload_fault(calls, size) or catalog_fault(calls, last(calls, "sync", "/uploads/"), upload)


# --- doctored traces --------------------------------------------------------------------------------------------------

SHARD = "/d/blobs/sha256/ab"
DIGEST = "sha256:ab" + "0" * 62
GOOD = f"""
10 openat(AT_FDCWD</w>, "/d/uploads/u1", O_WRONLY|O_CREAT|O_EXCL|O_APPEND|O_CLOEXEC, 0600) = 20</d/uploads/u1>
11 write(20</d/uploads/u1>, "xxxx", 4096) = 4096
12 fdatasync(20</d/uploads/u1> <unfinished ...>
10 pwrite64(9</d/stele.db-shm>, "x", 1, 0) = 1
12 <... fdatasync resumed>) = 0
11 mkdir("{SHARD}", 0700) = 0
11 fsync(21</d/blobs/sha256>) = 0
11 rename("/d/uploads/u1", "{SHARD}/{DIGEST[7:]}") = 0
11 fsync(22<{SHARD}>) = 0
13 pwrite64(5</d/stele.db-wal>, "\\0\\0{DIGEST}u1\\5", 4096, 4120) = 4096
13 fdatasync(5</d/stele.db-wal>) = 0
10 sendmsg(8<TCP:[127.0.0.1:1->127.0.0.1:2]>, {{msg_name=NULL, msg_iov=[{{iov_base="HTTP/1.1 201 Created"..., iov_len=200}}]}}, MSG_NOSIGNAL) = 200
""".strip().splitlines()


def doctored():
    """Name and lines of traces that must be refused."""
    def without(text):
        return [line for line in GOOD if text not in line]

    def moved(text, to):
        line = next(line for line in GOOD if text in line)
        rest = [other for other in GOOD if other != line]
        return rest[:to] + [line] + rest[to:] if to >= 0 else rest[:to] + [line] + rest[to:]

    yield "no fdatasync of the upload", [line for line in GOOD if "fdatasync(20" not in line and "fdatasync resumed" not in line]
    yield "an fdatasync that never ended", without("fdatasync resumed")
    yield "an fdatasync that failed", [line.replace("fdatasync resumed>) = 0", "fdatasync resumed>) = -1 EIO (Input/output error)") for line in GOOD]
    yield "an fdatasync that was injected", [line.replace("fdatasync resumed>) = 0", "fdatasync resumed>) = 0 (INJECTED)") for line in GOOD]
    yield "an fdatasync before the last write", moved("write(20", 4)
    yield "no rename", without("rename(")
    yield "the rename before the fdatasync", moved("rename(", 1)
    yield "no fsync of the directory", without("fsync(22")
    yield "the fsync of the directory before the rename", moved("fsync(22", 7)
    yield "no fsync of the parent of a new directory", without("fsync(21")
    yield "no write to the catalog's log", without("pwrite64(5")
    yield "the catalog written before the directory was synced", moved("fsync(22", -2)
    yield "no write to the catalog's log but another batch's", [line for line in GOOD[:-1] if "pwrite64(5" not in line] + OTHERS + GOOD[-1:]
    yield "another batch synced before our write, and ours not", GOOD[:-3] + OTHERS + GOOD[-3:-2] + GOOD[-1:]
    yield "no sync of the catalog's log", without("fdatasync(5")
    yield "a write to the log after its sync", moved("pwrite64(5", -1)
    yield "the answer before the catalog's sync", moved("fdatasync(5", len(GOOD) - 1)
    yield "the answer begun before the catalog's sync", moved("fdatasync(5", len(GOOD) - 1)[:-2] + [
        GOOD[-1].split(" = 200")[0].removesuffix(")") + " <unfinished ...>", "13 fdatasync(5</d/stele.db-wal>) = 0", "10 <... sendmsg resumed>) = 200"]


OTHERS = ['13 pwrite64(5</d/stele.db-wal>, "another batch", 4096, 9000) = 4096', "13 fdatasync(5</d/stele.db-wal>) = 0"]


def self_test(checks):
    def judge(lines):
        status, calls = windows(parse(lines))[0]
        return publish_fault(calls, 4096, DIGEST) if status == 201 else "no 201"

    checks("self-test: a right trace is accepted", judge(GOOD) == "", judge(GOOD))
    checks("self-test: another batch's write before our answer is accepted", judge(GOOD[:-1] + OTHERS[:1] + GOOD[-1:]) == "")
    for name, lines in doctored():
        checks(f"self-test: {name} is refused", judge(lines) != "")
    begun = GOOD[-1].split(" = 200")[0].removesuffix(")") + " <unfinished ...>"
    for outcome in ("-1 EAGAIN (Resource temporarily unavailable)", "? ERESTARTSYS (To be restarted if SA_RESTART is set)"):
        again = GOOD[:-1] + [begun, f"10 <... sendmsg resumed>) = {outcome}", GOOD[-1]]
        checks(f"self-test: a send that is tried again after {outcome.split(' (')[0]} is one answer", len(windows(parse(again))) == 1)
        checks("self-test: and what came before it is still seen", judge(again) == "", judge(again))
    named = begun.replace("201 Created", "201 Created\\r\\nX-Request-Id: 6be0f")
    killed = GOOD[:-1] + [named, named.replace("10 ", "13 ", 1), "10 <... sendmsg resumed>)            = ?"]
    checks("self-test: a send that is shown for two threads of a killed server is one answer", len(windows(parse(killed))) == 1)
    checks("self-test: and it is judged by the first of them", judge(killed[:-4] + killed[-3:-1] + killed[-4:-3] + killed[-1:]) != "")
    whole = named.removesuffix(" <unfinished ...>") + ") = 200"
    checks("self-test: a server that answers twice is seen", len(windows(parse(GOOD[:-1] + [whole, whole]))) == 2)
    checks("self-test: a send that ended late is one answer", len(windows(parse(GOOD[:-1] + [begun, "10 <... sendmsg resumed>) = 200"]))) == 1)
    patch = [line.replace("201 Created", "202 Accepted") for line in GOOD if "rename" not in line and "fsync(2" not in line and "mkdir" not in line]
    checks("self-test: a right PATCH is accepted", patch_fault(windows(parse(patch))[0][1], 4096, "u1") == "")
    early = [patch[0], *patch[5:7], *patch[1:5], *patch[7:]]
    checks("self-test: a PATCH whose row is written before its bytes are synced is refused",
           patch_fault(windows(parse(early))[0][1], 4096, "u1") != "")


# --- the server -------------------------------------------------------------------------------------------------------

class Traced:
    """One request after the other; `steps` says what each must have done before it was answered."""

    def __init__(self, registry):
        self.registry, self.steps = registry, []
        self.serial = 0

    def ask(self, name, method, path, status, judge, body=None, headers=None, **more):
        connection = self.registry.connection()
        try:
            connection.request(method, path, body, headers or {}, **more)
            response = connection.getresponse()
            said = response.read()
            if response.status != status:
                raise Failure(f"{name} answered {response.status}, not {status}: {said[:300]}")
            request = response.headers["X-Request-Id"]
            self.steps.append((name, status, judge and (lambda calls: judge(calls, request))))
            return response.headers
        finally:
            connection.close()

    def content(self, size):
        self.serial += 1
        return (f"{self.serial:08}".encode() + bytes(range(256)) * (size // 256 + 1))[:size]

    def begin(self):
        return self.ask("POST", "POST", "/v2/a/b/blobs/uploads/", 202, None)["Location"]   # acknowledges no bytes

    def put(self, name, location, digest, size, body=b""):
        self.ask(name, "PUT", f"{location}?digest={digest}", 201, lambda calls, _: publish_fault(calls, size, digest), body)

    def run(self):
        whole = self.content(100_000)
        digest = digest_of(whole)
        self.ask("POST ?digest=", "POST", f"/v2/a/b/blobs/uploads/?digest={digest}", 201,
                 lambda calls, _: publish_fault(calls, len(whole), digest), whole)
        large = self.content(3_000_000)
        self.put("POST, PUT", self.begin(), digest_of(large), len(large), large)

        def patch(name, location, piece, headers, **more):
            size = len(piece)
            body = iter([piece[:size // 2], piece[size // 2:]]) if more else piece
            upload = location.rpartition("/")[2].partition("?")[0]
            self.ask(name, "PATCH", location, 202, lambda calls, _: patch_fault(calls, size, upload), body, headers, **more)

        streamed = self.content(200_000)
        location = self.begin()
        patch("streamed PATCH", location, streamed, {"Transfer-Encoding": "chunked"}, encode_chunked=True)
        self.put("PUT without a body after PATCH", location, digest_of(streamed), 0)
        chunked = self.content(90_000)
        location = self.begin()
        patch("PATCH of the first chunk", location, chunked[:30_000], {"Content-Range": "0-29999"})
        patch("PATCH of the next chunk", location, chunked[30_000:60_000], {"Content-Range": "30000-59999"})
        self.put("PUT with the last chunk", location, digest_of(chunked), 30_000, chunked[60_000:])

        def committed(calls, request):
            return catalog_fault(calls, -1, request)
        self.ask("POST ?mount=", "POST", f"/v2/c/d/blobs/uploads/?mount={digest}&from=a/b", 201, committed)
        self.ask("POST ?digest= of known content into another repository", "POST",
                 f"/v2/c/e/blobs/uploads/?digest={digest_of(large)}", 201, committed, large)
        manifest = image((digest, len(whole)), label="traced")
        put = {"body": manifest, "headers": {"Content-Type": IMAGE}}
        self.ask("PUT of a manifest by tag", "PUT", "/v2/a/b/manifests/one", 201, committed, **put)
        other = image((digest, len(whole)), label="other")
        put["body"] = other
        self.ask("PUT of a manifest by digest with ?tag=", "PUT", f"/v2/a/b/manifests/{digest_of(other)}?tag=two&tag=three", 201, committed, **put)
        self.ask("PUT that moves a tag", "PUT", "/v2/a/b/manifests/one", 201, committed, **put)
        self.ask("DELETE of a tag", "DELETE", "/v2/a/b/manifests/two", 202, committed)
        self.ask("DELETE of a manifest", "DELETE", f"/v2/a/b/manifests/{digest_of(manifest)}", 202, committed)
        self.ask("DELETE of a blob", "DELETE", f"/v2/a/b/blobs/{digest_of(large)}", 202, committed)


def traced_run(directory, options, preload=None, order=None):
    """The requests of Traced against a server under strace: [(name, fault)]."""
    strace = need("strace", "strace")
    trace = directory / "trace"
    # -D: strace is the grandchild, so that the process that is killed at the end is the server.
    with Registry(options.stele, directory, preload=preload,
                  wrapper=[strace, "-D", "-f", "-yy", "-s", "4200", "-o", trace, "-e", f"trace={CALLS}"]) as registry:
        registry.start()
        if order:
            registry.control.write_text(order + "\n")
        traced = Traced(registry)
        traced.run()
        registry.process.send_signal(signal.SIGKILL)
        registry.process.wait()
    deadline = time.monotonic() + 120
    while "+++ killed by SIGKILL +++" not in trace.read_text(errors="replace"):
        if time.monotonic() > deadline:
            raise Failure("strace did not end its trace")
        time.sleep(0.1)
    answers = windows(parse(trace.read_text(errors="replace").splitlines()))
    if [status for status, _ in answers] != [status for _, status, _ in traced.steps]:
        raise Failure(f"the trace shows the answers {[status for status, _ in answers]} and the test had "
                      f"{[status for _, status, _ in traced.steps]}: is a line of it not understood? {kept(trace)}")
    return [(name, judge(calls)) for (name, _, judge), (_, calls) in zip(traced.steps, answers) if judge]


def kept(trace):
    """A copy of the trace that outlives the test's directory; its path."""
    descriptor, path = tempfile.mkstemp(prefix="stele-strace-", suffix=".trace")
    os.close(descriptor)
    return shutil.copyfile(trace, path)


# What is taken away, and how many of the answers must then be refused at least.
MUTATIONS = {"skip /uploads/": 6, "skip stele.db-wal": 15, "skip /blobs/sha256": 4}


def tests(checks, directory, options):
    self_test(checks)
    if options.no_server:
        return

    def server(checks):
        faults = traced_run(directory / "server", options)
        trace = kept(directory / "server" / "trace") if any(fault for _, fault in faults) else ""
        for name, fault in faults:
            checks(name, not fault, f"{fault} ({trace})")

    def mutations(checks):
        shim = build_shim(directory)
        for number, (order, expected) in enumerate(MUTATIONS.items()):
            refused = [name for name, fault in traced_run(directory / f"mutant{number}", options, shim, order) if fault]
            caught = len(refused) >= expected
            trace = "" if caught else kept(directory / f"mutant{number}" / "trace")
            checks(f"a server with \"{order}\" is caught: {len(refused)} answers refused", caught, f"{refused} {trace}")

    checks.run(server)
    checks.run(mutations)


if __name__ == "__main__":
    main("durability strace", tests, lambda parser: parser.add_argument("--no-server", action="store_true", help="the doctored traces alone"))
