"""What a client does where everybody has to log in, and where not everybody may do everything: checks that the clients that can
log in share."""
import base64
import re

from images import Layout, host_architecture, push
from server import Failure, Server

# Both: "correct horse".
USERS = "".join(f"{name}:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n" for name in ("alice", "releaser"))
RULES = """version: 1
access_rules:
  - {name: team, who: ["user:alice"], repositories: ["team/**"], allow: [pull, push]}
  - {name: shared, who: ["user:alice"], repositories: ["shared/**"], allow: [pull]}
  - {name: releases, who: ["user:releaser"], repositories: ["**"], allow: [pull, push]}
"""
PUBLIC = """version: 1
access_rules:
  - {name: public, who: [anonymous], repositories: ["public/**"], allow: [pull]}
  - {name: private, who: ["user:alice"], repositories: ["private/**"], allow: [pull]}
  - {name: releases, who: ["user:releaser"], repositories: ["**"], allow: [pull, push]}
"""
ROBOTS = """version: 1
access_rules:
  - {name: robots, who: ["robot:ci-*"], repositories: ["**"], allow: [pull, push]}
"""
DROP = """version: 1
access_rules:
  - {name: drop, who: ["user:alice"], repositories: ["drop/**"], allow: [push]}
"""


class Releaser:
    """Requests to the server as the user releaser."""

    def __init__(self, server):
        self.server = server

    def request(self, method, path, body=None, headers=None):
        account = base64.b64encode(b"releaser:correct horse").decode()
        return self.server.request(method, path, body, {**(headers or {}), "Authorization": f"Basic {account}"})


class WhereOneLogsIn:
    """Servers with users, and what a client says of a refusal."""
    # What it says when a login is asked for. "HTTP 401": containers/image says no more of the answer to a HEAD, which has no body.
    login_asked = ("unauthorized", "authentication required", "invalid username/password", "http 401")

    def refused(self, what, action, *expected):
        try:
            action()
        except Failure as failure:
            said = str(failure).lower()
            expected = expected or {*WhereOneLogsIn.login_asked, *self.login_asked}
            if not any(words.lower() in said for words in expected):
                raise Failure(f"{what} failed, and not for {expected}: {failure}") from None
            return
        raise Failure(f"{what} should have been refused")

    def stele(self, *words):
        """A command on the server's own machine."""
        return self.run(self.server.command[0], *words, "--data", self.server.directory / "data")

    def where_one_logs_in(self, name, rules):
        directory = self.directory / name
        directory.mkdir()
        (directory / "users").write_text(USERS)
        config = f"auth: {{htpasswd: {{file: {directory}/users}}}}\n"
        if rules:
            (directory / "policy.yaml").write_text(rules)
            config += f"policy: {directory}/policy.yaml\n"
        return Server(directory, tls=self.tls, config=config)


class Logins(WhereOneLogsIn):
    """A client has log_in(password, user), push_as(layout, name), pull_again(name), which asks the registry, and pull_whole(name),
    which fetches what it has not."""
    reads_back = False  # it fetches the manifest that it has pushed
    # What it shows of a refusal for want of a right, of a push and of a pull. None: nothing that a user could read.
    push_denied = "pushing needs the right push in shared/app, which no rule of access_rules gives to user:alice"
    pull_denied = "pulling needs the right pull in secret/app, which no rule of access_rules gives to user:alice"

    def check_a_login_is_asked_for_and_enough(self):
        with self.where_one_logs_in("logins", "") as server, self.speaking_to(server):
            name = self.name("logins/single")
            self.refused("pushing without a login", lambda: self.push_as(self.single, name))
            self.refused("a wrong password", lambda: (self.log_in("wrong"), self.push_as(self.single, name)))
            self.log_in("correct horse")
            self.push_as(self.single, name)
            self.pull_again(name)
            (server.directory / "users").write_text("# nobody\n")
            self.refused("pulling when the user is gone", lambda: self.pull_again(name))

    def check_a_right_is_asked_for_and_named(self):
        with self.where_one_logs_in("rights", RULES) as server, self.speaking_to(server):
            push(Releaser(server), "shared/base", self.single.graph)
            push(Releaser(server), "secret/app", self.single.graph)
            self.log_in("correct horse")
            self.push_as(self.single, self.name("team/app"))
            self.pull_again(self.name("team/app"))
            self.pull_again(self.name("shared/base"))
            self.refused("pushing without the right", lambda: self.push_as(self.single, self.name("shared/app")), self.push_denied)
            self.refused("pulling without the right", lambda: self.pull_again(self.name("secret/app")), self.pull_denied)
            # The rule comes, and nobody has to log in again.
            server.new_policy(RULES.replace("allow: [pull]}", "allow: [pull, push]}"))
            self.push_as(self.single, self.name("shared/app"))

    def is_kept(self, user, secret):
        """In a client's own file, after log_in()."""

    def pull_whole(self, name):
        self.pull_again(name)

    def check_what_is_for_everybody_needs_no_login(self):
        """A public repository and a private one, on a server where people log in."""
        layout = Layout(self.directory / "for-everybody", [host_architecture()], "for everybody")
        with self.where_one_logs_in("public", PUBLIC) as server, self.speaking_to(server):
            push(Releaser(server), "public/app", layout.graph)
            push(Releaser(server), "private/app", layout.graph)
            self.pull_whole(self.name("public/app"))
            self.refused("pulling what is private without a login", lambda: self.pull_again(self.name("private/app")))
            self.refused("pushing where everybody may pull", lambda: self.push_as(self.single, self.name("public/app", "2.0")))
            self.log_in("correct horse")
            self.pull_again(self.name("private/app"))
            self.pull_again(self.name("public/app"))
        read = re.findall(r'"anonymous" GET "/v2/public/app/blobs/(\S+)" 200', server.log.read_text())
        self.expect("what nobody in particular has fetched", layout.graph.parts.keys() - {layout.graph.root} - set(read), set())

    def check_a_robots_secret_is_a_password(self):
        with self.where_one_logs_in("robots", ROBOTS) as server, self.speaking_to(server):
            secret = self.stele("robot", "create", "ci-team", "--scope", "team/**:pull,push", "--scope", "shared/**:pull").strip()
            self.log_in(secret, "ci-team")
            self.push_as(self.single, self.name("team/app"))
            self.pull_whole(self.name("team/app"))
            self.is_kept("ci-team", secret)
            self.refused("pushing beyond the scopes", lambda: self.push_as(self.single, self.name("shared/app")),
                         self.push_denied.replace("which no rule of access_rules gives to user:alice", "which the scopes of robot:ci-team do not leave it"))
            self.stele("robot", "revoke", "ci-team")
            self.refused("pulling when it is revoked", lambda: self.pull_again(self.name("team/app")))

    def check_the_right_to_push_is_enough_to_push(self):
        """And to ask what is there, by HEAD; what is there is read by nobody."""
        with self.where_one_logs_in("drop", DROP) as server, self.speaking_to(server):
            self.log_in("correct horse")
            not_read = self.pull_denied.replace("secret/app", "drop/app"), "insufficient_scope"
            for tag in ("1.0", "2.0"):
                if self.reads_back and tag == "1.0":   # of what is there it reads nothing
                    self.refused("reading back", lambda: self.push_as(self.single, self.name("drop/app", tag)), *not_read)
                else:
                    self.push_as(self.single, self.name("drop/app", tag))
            self.refused("pulling", lambda: self.pull_again(self.name("drop/app")), *not_read)
        pushed = re.findall(r'"user:alice" PUT "/v2/drop/app/manifests/(\S+)" 201', server.log.read_text())
        self.expect("tags pushed", [tag for tag in pushed if ":" not in tag], ["1.0", "2.0"])
