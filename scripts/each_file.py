#!/usr/bin/env python3
"""Runs a tool that reads C++ over many files, two (or as many as there are processors) at a time, each file once for what it is.

  each_file.py BUILD_DIRECTORY TOOL FILE...     TOOL: a script that is called like a compiler (scripts/as_compiler/)

The compiler cache keeps the answer "nothing found" as it keeps objects: by the file, all it includes, the arguments and
the tool with its rules. Findings are never kept. Files outside the build's list (headers) are read as their folder's
sources are. Prints what the tool said of each file in which it found something; status 1 if it did.
"""
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def arguments_of(entry):
    """The compiler's, without its name (behind a launcher), the file, and where the object and its dependencies go."""
    words = entry["arguments"] if "arguments" in entry else shlex.split(entry["command"])
    compiler = max(i for i, word in enumerate(words[:4]) if "clang++" in word or "g++" in word)
    kept, skip = [], False
    for word in words[compiler + 1:]:
        if skip or word in ("-c", "-MD", entry["file"]):
            skip = False
        elif word in ("-o", "-MF", "-MT"):
            skip = True
        else:
            kept.append(word)
    return kept


def main():
    build, tool, files = Path(sys.argv[1]), Path(sys.argv[2]).resolve(), sys.argv[3:]
    known = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = (Path(entry["directory"]) / entry["file"]).resolve()
        if path.is_relative_to(ROOT):
            known[str(path.relative_to(ROOT))] = arguments_of(entry)
    objects = build / "read" / tool.name
    objects.mkdir(parents=True, exist_ok=True)
    what = subprocess.run([tool, "--what"], check=True, capture_output=True, text=True).stdout.strip()
    environment = {**os.environ, "CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1", "CCACHE_COMPILERTYPE": "clang",
                   "CCACHE_COMPILERCHECK": f"string:{what}",
                   "CCACHE_SLOPPINESS": "time_macros,include_file_mtime,include_file_ctime"}

    def read(name):
        arguments = known.get(name)
        if arguments is None:
            beside = [one for one in sorted(known) if one.startswith(str(Path(name).parts[0]) + "/")] or sorted(known)
            arguments = [*known[beside[0]], "-Wno-pragma-once-outside-header", "-x", "c++"]
        output = objects / (name.replace("/", "-") + ".o")
        return subprocess.run(["ccache", tool, *arguments, "-c", name, "-o", output], cwd=ROOT, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(read, files))
    for result in results:
        if result.returncode != 0:
            print(result.stdout.strip() or f"status {result.returncode}", flush=True)
    return any(result.returncode != 0 for result in results)


if __name__ == "__main__":
    sys.exit(main())
