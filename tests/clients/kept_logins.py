"""Where clients keep what they log in with: a file that is written as docker's is, or a credential helper that it names."""
import base64
import json
import re
import sys

from logins import Logins
from server import ROOT

PAGE = ROOT / "docs/authentication.md"
HELPER = f"""#!{sys.executable}
import json, pathlib, sys
file = pathlib.Path(__file__).with_name("kept.json")
kept, asked, given = json.loads(file.read_text()), sys.argv[1], sys.stdin.read().strip()
if asked == "store":
    kept[json.loads(given)["ServerURL"]] = json.loads(given)
elif asked == "get" and given not in kept:
    sys.exit(print("credentials not found in native keychain") or 1)
elif asked == "get":
    print(json.dumps(kept[given]))
elif asked == "erase":
    kept.pop(given, None)
file.write_text(json.dumps(kept))
"""


def make_helper(directory):
    """docker-credential-test, and the file in which it keeps things."""
    directory.mkdir()
    (directory / "docker-credential-test").write_text(HELPER)
    (directory / "docker-credential-test").chmod(0o755)
    (directory / "kept.json").write_text("{}")
    return directory / "kept.json"


class KeptLogins(Logins):
    """For a client with login_file, the name of that file."""

    def is_kept(self, user, secret):
        kept = json.loads((self.home / self.login_file).read_text())["auths"][self.server.address]
        self.expect("what is kept", (base64.b64decode(kept["auth"]).decode(), kept.get("identitytoken")), (f"{user}:{secret}", None))

    def check_a_credential_helper_keeps_the_login(self):
        """And the client's own file nothing of it: configured as docs/authentication.md says."""
        with self.where_one_logs_in("helper", "") as server, self.speaking_to(server):
            file, kept = self.home / self.login_file, make_helper(self.directory / "helper/bin")
            before = file.read_text() if file.exists() else "{}"
            documented = re.search(r'^\{"credHelpers": .*$', PAGE.read_text(), re.M)[0].replace("registry.example.com", server.address).replace("pass", "test")
            file.write_text(json.dumps(json.loads(before) | json.loads(documented)))
            self.variables = {"PATH": f"{kept.parent}:{self.environment()['PATH']}"}
            try:
                self.log_in("correct horse")
                self.expect("of the login in the file", json.loads(file.read_text()).get("auths", {}).get(server.address) or {}, {})
                held = json.loads(kept.read_text())
                self.expect("what the helper keeps", ([*held], held[server.address]["Secret"] != ""), ([server.address], True))
                self.push_as(self.single, self.name("helped/app"))
                self.pull_again(self.name("helped/app"))
                kept.write_text("{}")
                self.refused("pulling when the helper has nothing", lambda: self.pull_again(self.name("helped/app")))
            finally:
                self.variables = {}
                file.write_text(before)
