#!/usr/bin/env python3
"""Runs every ```sh block of the documents below, in order, in one shell per document, as an operator would type them.

  run.py STELE DOCUMENT...

The port and nothing else is replaced. A block that fails ends the run. A line that begins with `!` must fail, and ends with a
comment `# refused: WORDS`: what the refusal says. A ```text output block says what the block before it prints, word for word but for
times, ages and the width of columns.
"""
import difflib
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/support"))
from ports import held_port  # noqa: E402

# With the number of blocks to be found at least, and of outputs.
DOCUMENTS = {"docs/administration.md": (18, 0), "docs/policy.md": (17, 0), "docs/lifecycle.md": (14, 11), "docs/access.md": (5, 1),
             "docs/robots.md": (5, 0),
             "docs/from-another-registry.md": (5, 0)}
WAIT = """
refused() {
  words=$1; shift
  if "$@" >said 2>&1; then cat said; echo "this was to be refused: $*"; exit 1; fi
  cat said
  grep -qF -- "$words" said || { echo "this was refused, but not with the words: $words"; exit 1; }
}
wait_for() { for i in $(seq 600); do curl -sf "http://$1/livez" >/dev/null && return 0; sleep 0.1; done; echo "no server on $1" >&2; return 1; }
"""


def comparable(output):
    """The lines of an output without what differs from one run to the next."""
    output = re.sub(r"\b\d{4}-\d\d-\d\d(T[\d:.]+Z)?", "<time>", output)
    output = re.sub(r" \d+[smh] ", " <age> ", output)
    return [" ".join(line.split()) for line in output.strip().splitlines()]


def run(stele, document, least, least_outputs):
    """Passed and failed blocks."""
    print(f"== {document}", flush=True)
    found = re.findall(r"^```sh\n(.*?)^```\n(?:\n```text output\n(.*?)^```)?", (ROOT / document).read_text(), re.S | re.M)
    blocks = [block for block, _ in found]
    shown = {number: output for number, (_, output) in enumerate(found, 1) if output}
    if len(blocks) < least or len(shown) < least_outputs:
        print(f"only {len(blocks)} shell blocks and {len(shown)} outputs were found in {document}; "
              f"expected at least {least} and {least_outputs}")
        return 0, 1
    ports = {"5000": str(held_port()), "5055": str(held_port())}
    script = "set -eu\nprinted=\ntrap '[ -z \"$printed\" ] || cat \"$printed\"; kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n" + WAIT
    for number, block in enumerate(blocks, 1):
        # The listening address is given to the first server by its variable: the documented command stays as it is.
        for documented, port in ports.items():
            block = block.replace(f"127.0.0.1:{documented}", f"127.0.0.1:{port}")
        # A shell that ends at the first failure does not end at a `!` that finds success.
        block = re.sub(r"^! (.*?) +# refused: (.*)$", lambda found: f"refused {shlex.quote(found[2])} {found[1]}", block, flags=re.M)
        if re.search(r"^!", block, re.M):
            print(f"block {number} of {document} has a line with `!` that does not say what the refusal says (# refused: …)")
            return 0, 1
        if number in shown:
            block = f"printed=printed.{number}\n{{\n{block}}} >$printed 2>&1\ncat $printed\nprinted=\n"
        script += f"echo '--- block {number}'\n{block}"
        if "stele serve" in block:
            script += f"wait_for 127.0.0.1:{ports['5055' if ports['5055'] in block else '5000']}\n"
    env = dict(os.environ, PATH=f"{stele.parent}:{os.environ['PATH']}", STELE_LISTEN=f"127.0.0.1:{ports['5000']}")
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(["bash", "-c", script], cwd=directory, env=env, timeout=400)
        made = "catalog.db" not in script or (Path(directory) / "catalog.db").exists()
        for number, output in shown.items():
            printed = Path(directory) / f"printed.{number}"
            lines = comparable(printed.read_text()) if printed.exists() else []
            if lines != comparable(output):
                print(f"block {number} of {document} prints something else than the document says:")
                print("\n".join(difflib.unified_diff(comparable(output), lines, "document", "printed", lineterm="")))
                made = False
    passed = len(blocks) if done.returncode == 0 and made else 0
    return passed, len(blocks) - passed


def main():
    stele = Path(sys.argv[1]).resolve()
    counts = [run(stele, document, *DOCUMENTS[document]) for document in sys.argv[2:]]
    passed, failed = (sum(column) for column in zip(*counts))
    print(f"docs: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
