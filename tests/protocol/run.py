#!/usr/bin/env python3
"""Requests and the answers expected, as text: every *.http file here against a running server; then the test_* functions.

  run.py STELE [--part PART] [NAME...]   the binary; only files and functions (script.test_name) whose name contains one of NAME
  run.py --parts                         the parts: all *.http files, and each script. Each is a test of its own in ctest

Format of a .http file; tests/protocol/README.md tells it at leisure:

  @ delete: off               before the first case: configuration, in YAML; the file gets a server of its own
  === what holds              begins a case: fresh {{repo}} and {{other}}, fresh connections, no variables
  > PUT /v2/{{repo}}/…        a request line; Host and Content-Length are added when the case does not say them
  > Name: value               a header line, sent as it stands
  >| text                     a line of the body (lines are joined with LF, none at the end)
  >body EXPR                  the body: see below
  >> GET / HTTP/1.1\\r\\n     bytes exactly as escaped, nothing added
  < 201                       the next answer's status; alternatives: 400|413; `eventually`: the request is repeated until so
  < Name: value               a header, exactly        < Name ~ regex     whole value matches
  < Name => variable          kept for later           < !Name            absent
  <| text                     a line of the exact body
  <body EXPR  <~ regex  <json {…}  <empty              the body: bytes, a search, a subset, nothing
  <closed                     the server ends the connection here
  ! directive                 see DIRECTIVES
EXPR: blob SIZE SEED [OFFSET LENGTH] · chunks EXPR… · repeat COUNT "text" · text "…" · $name
Every answer is also held to what holds for all of them: see Answer.check_always.
"""
import argparse
import hashlib
import importlib
import json
import os
import re
import shlex
import sys
import time
import traceback
from pathlib import Path

from wire import Connection, Server, Failure, generated

HERE = Path(__file__).resolve().parent
VARIABLE = re.compile(r"\{\{([\w.-]+)\}\}")
EVENTUALLY_SECONDS = 60


def size_of(text):
    match = re.fullmatch(r"(\d+)(B|KiB|MiB)?", text)
    if not match:
        raise Failure(f"not a size: {text}")
    return int(match[1]) << {"KiB": 10, "MiB": 20}.get(match[2], 0)


def unescaped(text):
    return text.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")


def is_subset(wanted, got):
    if isinstance(wanted, dict):
        return isinstance(got, dict) and all(key in got and is_subset(value, got[key]) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(map(is_subset, wanted, got))
    if isinstance(wanted, str) and wanted.startswith("~"):
        return isinstance(got, str) and re.search(wanted[1:], got) is not None
    return wanted == got and isinstance(wanted, bool) == isinstance(got, bool)


class Line:
    def __init__(self, number, text):
        self.number, self.text = number, text


class Case:
    def __init__(self, title, lines):
        self.title, self.lines = title, lines


def read_file(path):
    """The configuration lines and the cases of a file."""
    config, cases = [], []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        if text.startswith("==="):
            cases.append(Case(text[3:].strip(), []))
        elif text.startswith("@ ") and not cases:
            config.append(text[2:])
        elif text.strip() and not text.startswith("#"):
            if not cases or text[0] not in "><!":
                raise Failure(f"{path.name}:{number}: cannot be read: {text}")
            cases[-1].lines.append(Line(number, text))
    return config, cases


class Request:
    """What to send: a head and a body, or raw bytes."""

    def __init__(self):
        self.line, self.headers, self.body, self.raw = None, [], None, b""

    @property
    def method(self):
        return self.line.split(" ", 1)[0] if self.line else ""

    def has(self, name):
        return any(header.split(":", 1)[0].strip().lower() == name for header in self.headers)

    def encoded(self, server):
        if self.line is None:
            return self.raw
        line = self.line if re.search(r" HTTP/\d", self.line) else self.line + " HTTP/1.1"
        headers = list(self.headers)
        if not self.has("host"):
            headers.insert(0, f"Host: {server.address}")
        writes = self.method in ("PUT", "POST", "PATCH")
        if not self.has("content-length") and not self.has("transfer-encoding") and (self.body is not None or writes):
            headers.append(f"Content-Length: {len(self.body or b'')}")
        head = "\r\n".join([line, *headers]) + "\r\n\r\n"
        return head.encode("utf-8", "surrogateescape") + (self.body or b"") + self.raw


class Runner:
    """Runs one case."""
    serial = 0

    def __init__(self, server, name):
        Runner.serial += 1
        self.server = server
        self.values = {"repo": f"{name}/r{Runner.serial}", "other": f"{name}/o{Runner.serial}", "address": server.address,
                       "serial": str(Runner.serial)}
        self.bytes = {}
        self.connections = {}
        self.ending = set()         # those that the server announced to close
        self.current = "main"
        self.request = self.answer = None

    # --- text -------------------------------------------------------------------------------------------------------
    def filled(self, text):
        def value(match):
            if match[1] not in self.values:
                raise Failure(f"no variable {{{{{match[1]}}}}}; there are {', '.join(self.values)}")
            return self.values[match[1]]
        return VARIABLE.sub(value, text)

    def expression(self, text):
        words = shlex.split(text)
        kind, rest = words[0], words[1:]
        if kind.startswith("$"):
            return self.bytes[kind[1:]]
        if kind == "blob":
            content = generated(size_of(rest[0]), rest[1])
            return content[size_of(rest[2]):size_of(rest[2]) + size_of(rest[3])] if len(rest) > 2 else content
        if kind == "text":
            return unescaped(rest[0])
        if kind == "repeat":
            return unescaped(rest[1]) * int(rest[0])
        if kind == "nested":
            return b"[" * int(rest[0]) + b"]" * int(rest[0])
        if kind == "chunks":        # in chunks of that many bytes
            content = self.expression(" ".join(shlex.quote(word) for word in rest[1:]))
            step = size_of(rest[0])
            parts = [content[i:i + step] for i in range(0, len(content), step)]
            return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        raise Failure(f"no such body: {text}")

    def define(self, name, content):
        self.bytes[name] = content
        self.values[name] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.values[f"{name}.sha512"] = f"sha512:{hashlib.sha512(content).hexdigest()}"
        self.values[f"{name}.size"] = str(len(content))
        self.values[f"{name}.last"] = str(len(content) - 1)

    # --- connections ------------------------------------------------------------------------------------------------
    def connection(self, to_send=False):
        if to_send and self.current in self.ending:
            self.drop()
        if self.current not in self.connections:
            self.connections[self.current] = Connection(self.server)
        return self.connections[self.current]

    def drop(self):
        self.ending.discard(self.current)
        connection = self.connections.pop(self.current, None)
        if connection:
            connection.close()

    def once(self, method, target, headers=(), body=None):
        """A whole exchange on a connection of its own, for directives."""
        request = Request()
        request.line, request.headers, request.body = f"{method} {target}", list(headers), body
        connection = Connection(self.server)
        try:
            connection.send(request.encoded(self.server))
            return connection.read_answer(method)
        finally:
            connection.close()

    def push(self, repository, content):
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        answer = self.once("POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", body=content)
        if answer.status != 201:
            raise Failure(f"the blob could not be pushed: {answer}")
        return digest

    # --- steps ------------------------------------------------------------------------------------------------------
    def send(self):
        request, self.request = self.request, None
        if request is None:
            return
        self.sent = request
        self.connection(to_send=True).send(request.encoded(self.server))

    def check_exact_lines(self):
        lines, self.exact_lines = self.exact_lines, []
        if lines and self.answer.body != "\n".join(lines).encode():
            raise Failure(f"the body is not {lines}", self.answer)

    def step(self, text):
        if not text.startswith("<|"):
            self.check_exact_lines()
        if text.startswith(">> "):
            self.writing().raw += unescaped(self.filled(text[3:]))
        elif text.startswith(">| ") or text == ">|":
            self.writing()
            self.request.body = (self.request.body + b"\n" if self.request.body is not None else b"") + self.filled(text[3:]).encode()
        elif text.startswith(">body "):
            self.writing().body = self.expression(self.filled(text[6:]))
        elif text.startswith("> "):
            line = self.filled(text[2:])
            if self.request is None or re.match(r"[A-Z]+ \S+( HTTP/\S+)?$", line):
                self.send()
                self.request = Request()
                self.request.line = line
            else:
                self.request.headers.append(line)
        elif text.startswith("!"):
            self.send()
            self.directive(self.filled(text[1:]).strip())
        else:
            self.send()
            self.expect(text)

    def writing(self):
        if self.request is None:
            self.request = Request()
        return self.request

    def expect(self, text):
        if match := re.fullmatch(r"< (\d\d\d(?:\|\d\d\d)*)( eventually)?", text):
            self.expect_status({int(status) for status in match[1].split("|")}, bool(match[2]))
        elif text == "<closed":
            if not self.connection().at_end():
                raise Failure("the connection is still open")
            self.drop()
        elif self.answer is None:
            raise Failure("nothing was answered yet")
        elif text.startswith("<| ") or text == "<|":
            self.exact_lines.append(self.filled(text[3:]))
        elif text.startswith("<body "):
            wanted = self.expression(self.filled(text[6:]))
            if self.answer.body != wanted:
                raise Failure(f"{len(self.answer.body)} bytes of body are not the {len(wanted)} expected: {self.answer.body[:80]!r}", self.answer)
        elif text.startswith("<~ "):
            if not re.search(self.filled(text[3:]), self.answer.body.decode("utf-8", "replace")):
                raise Failure("the body does not match", self.answer)
        elif text.startswith("<!~ "):
            if re.search(self.filled(text[4:]), self.answer.body.decode("utf-8", "replace")):
                raise Failure("the body matches", self.answer)
        elif text.startswith("<json "):
            wanted = json.loads(self.filled(text[6:]))
            try:
                got = json.loads(self.answer.body)
            except ValueError:
                raise Failure("the body is not JSON", self.answer) from None
            if not is_subset(wanted, got):
                raise Failure(f"the body does not contain {json.dumps(wanted)}", self.answer)
        elif text == "<empty":
            if self.answer.body:
                raise Failure("the body is not empty", self.answer)
        elif match := re.fullmatch(r"< !([\w-]+)", text):
            if self.answer.all(match[1]):
                raise Failure(f"{match[1]} is there: {self.answer.all(match[1])}", self.answer)
        elif match := re.fullmatch(r"< ([\w-]+) => (\w+)", text):
            self.values[match[2]] = self.one(match[1])
        elif match := re.fullmatch(r"< ([\w-]+) ~ (.*)", text):
            if not re.fullmatch(self.filled(match[2]), self.one(match[1])):
                raise Failure(f"{match[1]} is {self.one(match[1])!r}", self.answer)
        elif match := re.fullmatch(r"< ([\w-]+) \+ (.*)", text):    # one of several of that name
            if self.filled(match[2]) not in self.answer.all(match[1]):
                raise Failure(f"{match[1]} is {self.answer.all(match[1])}", self.answer)
        elif match := re.fullmatch(r"< ([\w-]+): ?(.*)", text):
            if self.one(match[1]) != self.filled(match[2]):
                raise Failure(f"{match[1]} is {self.one(match[1])!r}, not {self.filled(match[2])!r}", self.answer)
        else:
            raise Failure("cannot be read")

    def one(self, name):
        values = self.answer.all(name)
        if len(values) != 1:
            raise Failure(f"{name} is there {len(values)} times", self.answer)
        return values[0]

    def expect_status(self, wanted, eventually):
        until = time.monotonic() + EVENTUALLY_SECONDS
        while True:
            self.answer = self.connection().read_answer(self.sent.method, self.methods.pop(0) if self.methods else None)
            if self.answer.status in wanted:
                break
            if not eventually or time.monotonic() > until:
                raise Failure(f"status {self.answer.status}, not {'|'.join(map(str, sorted(wanted)))}", self.answer)
            time.sleep(0.01)
            if self.answer.closes():
                self.drop()
            self.connection(to_send=True).send(self.sent.encoded(self.server))
        self.answer.check_always(self.sent.line, self.server.external_url())
        if self.answer.closes():
            self.ending.add(self.current)

    exact_lines = []      # of the body, so far
    methods = []          # of pipelined requests whose answers follow

    def directive(self, text):
        name = text.split()[0]
        # These take the rest of the line as it stands.
        rest = text.split()[1:] if name in ("log", "log-json", "sql", "json", "set", "repeated") else shlex.split(text)[1:]
        if name == "blob":                      # ! blob NAME EXPR            bytes, their digests, their size
            self.define(rest[0], self.expression(" ".join(shlex.quote(word) for word in rest[1:])))
        elif name == "json":                    # ! json NAME {…}             the same of a text
            self.define(rest[0], text.split(None, 2)[2].encode())
        elif name == "set":                     # ! set NAME VALUE
            self.values[rest[0]] = text.split(None, 2)[2]
        elif name == "repeated":                # ! repeated NAME COUNT TEXT  (\\r\\n are escapes)
            self.values[rest[0]] = unescaped(text.split(None, 3)[3]).decode("latin-1") * int(rest[1])
        elif name == "tagged":                  # ! tagged NAME DIGEST        the fallback tag of the referrers tag schema
            self.values[rest[0]] = rest[1].replace(":", "-")
        elif name == "push":                    # ! push REPOSITORY $name     a blob
            self.push(rest[0], self.expression(rest[1]))
        elif name == "image":                   # ! image NAME REPOSITORY [TAG] [KEY=JSON…]   one layer, pushed
            self.image(rest[0], rest[1], *rest[2:])
        elif name == "connection":              # ! connection NAME           what follows goes there
            self.current = rest[0]
        elif name == "close":                   # ! close                     from our side
            self.drop()
        elif name == "pipelined":               # ! pipelined GET HEAD …      the methods of raw requests, in order
            self.methods = list(rest)
        elif name == "restart":                 # ! restart                   in good order
            self.drop_all()
            self.server.stop()
            self.server.start()
        elif name == "kill":                    # ! kill                      -9, and start again
            self.drop_all()
            self.server.kill()
            self.server.start()
        elif name == "log":                     # ! log REGEX                 a line of standard output or error comes
            self.server.wait_log(text.split(None, 1)[1])
        elif name == "log-json":                # ! log-json {…}              every line is JSON, and one contains this
            self.server.wait_log_json(json.loads(text.split(None, 1)[1]), is_subset)
        elif name == "sql":                     # ! sql STATEMENT             on the catalog, while the server is stopped
            self.drop_all()
            self.server.stop()
            self.server.sql(text.split(None, 1)[1])
            self.server.start()
        elif name == "file":                    # ! file cut|grow|remove DIGEST   the blob's file
            self.server.damage(rest[0], rest[1])
        elif name == "files":                   # ! files DIRECTORY COUNT     so many files are below it
            self.server.count_files(rest[0], int(rest[1]))
        elif name == "many":                    # ! many COUNT METHOD TARGET  {#} stands for the number
            for number in range(int(rest[0])):
                answer = self.once(rest[1], rest[2].replace("{#}", str(number)))
                if answer.status >= 300:
                    raise Failure(f"{rest[1]} {number}: {answer}")
        else:
            raise Failure(f"no such directive: {name}")

    def image(self, name, repository, *options):
        tag = next((option for option in options if "=" not in option), None)
        config, layer = generated(120, f"{name} config"), generated(3000, f"{name} layer")
        manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                    "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": self.push(repository, config), "size": len(config)},
                    "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": self.push(repository, layer), "size": len(layer)}]}
        for option in options:
            if "=" in option:
                key, value = option.split("=", 1)
                manifest[key] = json.loads(value)
        self.define(name, json.dumps(manifest).encode())
        self.define(f"{name}.config", config)
        self.define(f"{name}.layer", layer)
        answer = self.once("PUT", f"/v2/{repository}/manifests/{tag or self.values[name]}",
                           [f"Content-Type: {manifest['mediaType']}"], self.bytes[name])
        if answer.status != 201:
            raise Failure(f"the image could not be pushed: {answer}")

    def drop_all(self):
        for connection in self.connections.values():
            connection.close()
        self.connections = {}
        self.ending = set()

    def run(self, case):
        self.sent = Request()
        try:
            for line in case.lines:
                try:
                    self.step(line.text)
                except Failure as failure:
                    failure.where = failure.where or line
                    raise
                except Exception as problem:    # of the line: it is reported with it
                    failure = Failure(f"{type(problem).__name__}: {problem}")
                    failure.where = line
                    raise failure from problem
            self.check_exact_lines()
            if self.request:
                raise Failure("the last request was never sent: expect an answer to it")
        finally:
            self.drop_all()


class Report:
    def __init__(self):
        self.passed = self.failed = 0

    def group(self, name, failures, count, seconds):
        self.passed += count - len(failures)
        self.failed += len(failures)
        print(f"{'ok  ' if not failures else 'FAIL'} {name}: {count - len(failures)} of {count} ({seconds:.1f} s)", flush=True)
        for failure in failures:
            print(f"     {failure}", flush=True)


def run_http_file(path, shared, stele, report):
    started = time.monotonic()
    config, cases = read_file(path)
    failures = []
    server = shared if not config else Server(stele, "\n".join(config) + "\n")
    try:
        if config:
            server.start()
        for case in cases:
            try:
                Runner(server, re.sub(r"[^a-z0-9]+", "-", path.stem)).run(case)
            except Failure as failure:
                where = f"{path.name}:{failure.where.number}: " if failure.where else f"{path.name}: "
                line = f"\n       {failure.where.text}" if failure.where else ""
                failures.append(f"{where}{case.title}{line}\n       {failure}")
                if not server.alive():
                    failures[-1] += f"\n       the server is gone: {server.log_tail()}"
                    server.start()
        complaint = server.complaint()
        if complaint:
            cases = [*cases, None]
            failures.append(f"{path.name}: {complaint}")
    finally:
        if config:
            server.kill()
            server.remove()
    report.group(path.name, failures, len(cases), time.monotonic() - started)


def scripts():
    """The files here with test_* functions, for what text tells badly: TLS, signals, many clients at once."""
    return sorted(path.stem for path in HERE.glob("*.py") if re.search(r"^def test_", path.read_text(), re.MULTILINE))


def run_script(name, stele, wanted, report, sanitized):
    functions = [function for key, function in vars(importlib.import_module(name)).items() if key.startswith("test_") and wanted(f"{name}.{key}")]
    if sanitized:
        for function in functions:
            if hasattr(function, "measures_memory") or hasattr(function, "preloads"):
                print(f"not with a sanitizer in it: {function.__name__[5:]}", flush=True)
        functions = [function for function in functions if not hasattr(function, "measures_memory") and not hasattr(function, "preloads")]
    if os.getuid() != 0:
        for function in functions:
            if hasattr(function, "needs_root"):
                print(f"NOT TRIED, for it takes root: {function.__name__[5:]}", flush=True)
        functions = [function for function in functions if not hasattr(function, "needs_root")]
    started = time.monotonic()
    failures = []
    for function in functions:
        try:
            function(stele)
        except Failure as failure:
            failures.append(f"{function.__name__[5:]}: {failure}")
        except Exception:   # a test that breaks must not keep the others from running
            failures.append(f"{function.__name__[5:]}: {traceback.format_exc()}")
    if functions:
        report.group(name, failures, len(functions), time.monotonic() - started)


def run_files(stele, wanted, report):
    files = [path for path in sorted(HERE.glob("*.http")) if wanted(path.name)]
    shared = Server(stele)
    try:
        if files:
            shared.start()
        for path in files:
            run_http_file(path, shared, stele, report)
        if files and shared.stop() != 0:
            report.group("the server's end", [f"exit code {shared.exit_code}: {shared.log_tail()}"], 1, 0)
    finally:
        shared.kill()
        shared.remove()


def main():
    if sys.argv[1:] == ["--parts"]:
        print(";".join(["files", *scripts()]), end="")
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sanitized", action="store_true", help="the binary has a sanitizer in it: its memory says nothing")
    parser.add_argument("--part", choices=["files", *scripts()], action="append", help="all *.http files, or one file of functions")
    parser.add_argument("stele")
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    stele = Path(options.stele).resolve()
    report = Report()
    started = time.monotonic()

    def wanted(name):
        return not options.names or any(part in name for part in options.names)
    for part in options.part or ["files", *scripts()]:
        if part == "files":
            run_files(stele, wanted, report)
        else:
            run_script(part, stele, wanted, report, options.sanitized)
    print(f"protocol: {report.passed} passed, {report.failed} failed")
    print(f"after {time.monotonic() - started:.0f} s")
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
