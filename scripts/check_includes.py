#!/usr/bin/env python3
"""Fails on an #include that the table of docs/architecture.md does not have.

  check_includes.py ROOT         reads every .hpp and .cpp of the folders below
  check_includes.py --self-test  proves that each kind of bad edge is found
"""
import re
import sys
import tempfile
from pathlib import Path

# folder: the folders that it may include besides itself and base/. None: everything below it in the table.
ORDER = ["cli", "server", "api", "gc", "mirror", "registry", "auth", "audit", "storage", "policy", "http", "config", "base"]
ALLOWED = {
    "cli": None,
    "server": None,
    "api": {"registry", "auth", "gc", "mirror", "audit", "policy", "http", "config"},
    "gc": {"registry", "storage", "policy", "audit"},
    "mirror": {"registry", "storage", "policy", "audit", "http", "config"},
    "registry": {"policy", "storage", "audit"},
    "auth": {"storage", "policy", "audit", "http", "config"},
    "audit": {"storage"},
    "storage": set(),
    "policy": {"config"},
    "http": set(),
    "config": set(),
    "base": set(),
}
# A part of a folder may have an edge that the rest of it does not.
ALLOWED_BELOW = {"storage/s3/": {"http"}}

BEAST = "boost/beast"
HEAVY = (BEAST, "nlohmann/json.hpp", "sqlite3.h", "openssl/")
# Headers that may include a heavy one, each with its reason.
HEAVY_HEADERS = {
    "http/socket_stream.hpp": "internal to http/: holds the connection's SSL, no other folder includes it",
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def may_include(path, target):
    folder = path.split("/")[0]
    if target == folder or target == "base":
        return True
    if any(path.startswith(part) and target in extra for part, extra in ALLOWED_BELOW.items()):
        return True
    allowed = ALLOWED[folder]
    if allowed is None:
        return ORDER.index(target) > ORDER.index(folder)
    return target in allowed


def problem(path, quote, include):
    """What is wrong with this include in the file at path (relative to the root), or None."""
    folder = path.split("/")[0]
    target = include.split("/")[0]
    if quote == '"':
        if include.startswith(".") or "/" not in include:
            return f'"{include}" is not written from the root; write "{folder}/…/{Path(include).name}"'
        if target not in ALLOWED:
            return f'"{include}" is in no folder of the table (third-party headers are written with <>)'
        if not may_include(path, target):
            return f'{folder}/ may not include {target}/ ("{include}")'
        return None
    if include.startswith(BEAST) and folder != "http":
        return f"only http/ includes Beast (<{include}>)"
    if include.startswith(HEAVY) and path.endswith(".hpp") and path not in HEAVY_HEADERS:
        return f"<{include}> is a heavy header: include it in a .cpp file and forward-declare here"
    return None


def check(root):
    """Returns the number of files and of includes read, and the problems."""
    files, includes, problems = 0, 0, []
    for folder in ORDER:
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in (".hpp", ".cpp"):
                continue
            files += 1
            path = file.relative_to(root).as_posix()
            for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
                found = INCLUDE.match(line)
                if not found:
                    continue
                includes += 1
                wrong = problem(path, found[1], found[2])
                if wrong:
                    problems.append(f"{path}:{number}: {wrong}")
    return files, includes, problems


def self_test():
    good = {
        "base/a.hpp": "#include <string>",
        "http/server.cpp": '#include "http/server.hpp"\n#include <boost/beast/http.hpp>',
        "storage/s3/client.cpp": '#include "http/client.hpp"',
        "auth/keys.cpp": '#include "http/client.hpp"\n#include <openssl/evp.h>',
        "cli/main.cpp": '#include "server/server.hpp"\n#include "base/digest.hpp"',
    }
    bad = {
        "base/up.cpp": '#include "http/server.hpp"',
        "policy/up.cpp": '#include "registry/registry.hpp"',
        "registry/http.cpp": '#include "http/exchange.hpp"',
        "storage/fs/http.cpp": '#include "http/client.hpp"',
        "api/storage.cpp": '  #  include "storage/blob_store.hpp"',
        "server/up.cpp": '#include "cli/main.hpp"',
        "api/beast.cpp": "#include <boost/beast/core.hpp>",
        "http/heavy.hpp": "#include <openssl/ssl.h>",
        "storage/heavy.hpp": "#include <sqlite3.h>",
        "http/near.cpp": '#include "server.hpp"',
        "http/outside.cpp": '#include "tests/support/catch.hpp"',
    }
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for path, text in {**good, **bad}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text + "\n")
        _, _, problems = check(root)
    found = [line.split(":")[0] for line in problems]
    if sorted(found) != sorted(bad):
        print(f"check_includes.py --self-test: expected one problem in each of {sorted(bad)}, got:", *problems, sep="\n  ")
        return 1
    print(f"check_includes.py --self-test: {len(bad)} bad edges found, {len(good)} good files passed")
    return 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    if len(sys.argv) != 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    root = Path(sys.argv[1])
    files, includes, problems = check(root)
    if not files:
        print(f"include rule: no source files under {root}", file=sys.stderr)
        return 1
    for line in problems:
        print(line, file=sys.stderr)
    print(f"include rule: {files} files, {includes} includes, {len(problems)} against the table of docs/architecture.md")
    return 1 if problems else 0


sys.exit(main())
