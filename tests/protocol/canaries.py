"""That no secret of a login leaves its way."""
import base64
import json
from pathlib import Path
from urllib.parse import quote


class Canaries:
    """Secrets that are to be in no file, log line, answer, output or argument, and what was looked at of those that are no files."""

    def __init__(self):
        self.secrets, self.answers = {}, []

    def add(self, what, secret, *users):
        """As it is, as a form and a JSON text have it, and as Basic has it beside each name."""
        spellings = {secret, quote(secret, safe=""), json.dumps(secret)[1:-1], *(base64.b64encode(f"{user}:{secret}".encode()).decode() for user in users)}
        if secret.count(".") == 2:
            spellings |= {secret.split(".")[2]}     # a token without its signature is none
        self.secrets[what] = {one.encode() for one in spellings}
        return secret

    def seen(self, answer):
        self.answers.append((f"{answer.status} {answer.fields}".encode() + answer.body, "an answer"))
        return answer

    def found(self, texts):
        return {(where, what) for text, where in [*texts, *self.answers] for what, spellings in self.secrets.items() if any(one in text for one in spellings)}

    def said(self, done):
        """What a command printed, given what it was called with; what it prints on purpose is taken out by the caller."""
        self.answers.append((f"{done.args} {done.stdout} {done.stderr}".encode(), f"the command {done.args[1:3]}"))
        return done

    def process(self, number):
        """What others on the machine can read of a process, and its environment."""
        for name in ("cmdline", "environ"):
            self.answers.append((Path(f"/proc/{number}/{name}").read_bytes(), f"the server's {name}"))
