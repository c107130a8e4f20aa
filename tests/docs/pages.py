"""Pages of docs/ whose blocks need more around them than run.py has: a CI's variables, a directory, a terminal to type at."""
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / folder) for folder in ("protocol", "oidc", "support", "clients", "deploy")]
from wire import Failure   # noqa: E402

NAME = "registry.example.com"      # what the pages call the registry
DOCKER = Path(__file__).with_name("docker_stand_in.py")


def blocks(page, language, first=""):
    """The page's blocks of a language, those whose text begins with `first`."""
    found = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / page).read_text(), re.S | re.M)
    return [text for text in found if text.startswith(first)]


def only(page, language, words):
    """The block that has these words."""
    found = [text for text in blocks(page, language) if words in text]
    if len(found) != 1:
        raise Failure(f"docs/{page} has {len(found)} blocks of {language} with {words!r}")
    return found[0]


class Workplace:
    """A folder in which commands of a page are run. What they call the registry is this one; `real`: with docker and crane themselves."""

    def __init__(self, directory, stele, address="", real=False):
        self.directory, self.address, self.real = Path(directory), address, real
        self.tools = self.directory / "tools"
        self.tools.mkdir(parents=True)
        (self.tools / "stele").symlink_to(stele)
        for name in () if real else ("docker", "crane"):
            shutil.copy(DOCKER, self.tools / name)
        self.checkout = self.directory / "checkout"     # where commands are run
        self.checkout.mkdir()
        (self.checkout / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        path = [str(self.tools), *([str(ROOT / ".cache/tools")] if real else []), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
        self.env = {"PATH": ":".join(path), "HOME": str(self.directory), "XDG_CONFIG_HOME": str(self.directory / "config"), "LANG": "C.UTF-8",
                    "DOCKER_CONFIG": str(self.directory / "docker"), "DOCKER_BUILDKIT": "0", "NO_PROXY": "127.0.0.1,localhost"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def here(self, text):
        """The page's registry and its folder are ours. Whom a token is for stays."""
        text = re.sub(rf"(?<!audience=)(https://)?{NAME}(:5000)?", lambda found: ("http://" if found[1] else "") + self.address, text)
        return text.replace("/etc/stele/", f"{self.directory}/etc/")

    def run(self, script, shell="bash -euo pipefail", given=None, right=True, **variables):
        done = subprocess.run([*shell.split(), "-c", self.here(script)], env={**self.env, **variables}, cwd=self.checkout, input=given, capture_output=True, text=True, timeout=120)
        if (done.returncode == 0) != right:
            raise Failure(f"{script}\nended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def said(self):
        """What docker and crane were told, where stand-ins are in their place."""
        file = self.directory / "docker/said"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def typed(self, script, *answers, cwd=None):
        """At a terminal of its own: each answer, (the question's end, what is typed), in turn. What was shown."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(cwd or self.checkout)
            os.execvpe("bash", ["bash", "-euo", "pipefail", "-c", script], self.env)
        shown, waiting, until = b"", list(answers), time.monotonic() + 60
        asked = 0
        while True:
            ready, *_ = select.select([terminal], [], [], max(0, until - time.monotonic()))
            try:
                more = os.read(terminal, 65536) if ready else b""
            except OSError:     # its end
                more = b""
            if not more:
                break
            shown += more
            while waiting and (place := shown.find(waiting[0][0].encode(), asked)) >= 0:
                os.write(terminal, waiting[0][1].encode() + b"\n")
                asked = place + len(waiting.pop(0)[0])
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        text = shown.decode(errors="replace").replace("\r\n", "\n")
        if status or waiting:
            raise Failure(f"{script}\nended with {status}, and was not asked {waiting}: {text}")
        return text
