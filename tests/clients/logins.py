"""What a client does where everybody has to log in, and where not everybody may do everything: checks that the clients that can
log in share."""
import base64

from images import push
from server import Failure, Server

# Both: "correct horse".
USERS = "".join(f"{name}:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n" for name in ("alice", "releaser"))
RULES = """version: 1
access_rules:
  - {name: team, who: ["user:alice"], repositories: ["team/**"], allow: [pull, push]}
  - {name: shared, who: ["user:alice"], repositories: ["shared/**"], allow: [pull]}
  - {name: releases, who: ["user:releaser"], repositories: ["**"], allow: [pull, push]}
"""


class Releaser:
    """Requests to the server as the user releaser."""

    def __init__(self, server):
        self.server = server

    def request(self, method, path, body=None, headers=None):
        account = base64.b64encode(b"releaser:correct horse").decode()
        return self.server.request(method, path, body, {**(headers or {}), "Authorization": f"Basic {account}"})


class Logins:
    """A client has log_in(password) as alice, push_as(layout, name), and pull_again(name), which asks the registry."""
    # What it shows of a refusal for want of a right, of a push and of a pull. None: nothing that a user could read.
    push_denied = "pushing needs the right push in shared/app, which no rule of access_rules gives to user:alice"
    pull_denied = "pulling needs the right pull in secret/app, which no rule of access_rules gives to user:alice"

    # What it says when a login is asked for. "HTTP 401": containers/image says no more of the answer to a HEAD, which has no body.
    login_asked = ("unauthorized", "authentication required", "invalid username/password", "http 401")

    def refused(self, what, action, *expected):
        try:
            action()
        except Failure as failure:
            said = str(failure).lower()
            expected = expected or {*Logins.login_asked, *self.login_asked}
            if not any(words.lower() in said for words in expected):
                raise Failure(f"{what} failed, and not for {expected}: {failure}") from None
            return
        raise Failure(f"{what} should have been refused")

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

    def where_one_logs_in(self, name, rules):
        directory = self.directory / name
        directory.mkdir()
        (directory / "users").write_text(USERS)
        config = f"auth: {{htpasswd: {{file: {directory}/users}}}}\n"
        if rules:
            (directory / "policy.yaml").write_text(rules)
            config += f"policy: {directory}/policy.yaml\n"
        return Server(directory, tls=self.tls, config=config)
