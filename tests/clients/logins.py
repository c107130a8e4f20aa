"""What a client does where everybody has to log in: a check that the clients that can log in share."""
from server import Failure, Server

# "correct horse".
USERS = "alice:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n"


class Logins:
    """A client has log_in(password), push_as(layout, name), and pull_again(name), which asks the registry."""

    def refused(self, what, action):
        try:
            action()
        except Failure as failure:
            said = str(failure).lower()
            # "HTTP 401": containers/image says no more of the answer to a HEAD, which has no body.
            if not any(words in said for words in ("unauthorized", "authentication required", "invalid username/password", "http 401")):
                raise Failure(f"{what} failed, and not for the login: {failure}") from None
            return
        raise Failure(f"{what} should have been refused")

    def check_a_login_is_asked_for_and_enough(self):
        directory = self.directory / "logins"
        directory.mkdir()
        (directory / "users").write_text(USERS)
        config = f"auth: {{htpasswd: {{file: {directory}/users}}}}\n"
        with Server(directory, tls=self.tls, config=config) as server, self.speaking_to(server):
            self.log_in_and_out(self.name("logins/single"))

    def log_in_and_out(self, name):
        self.refused("pushing without a login", lambda: self.push_as(self.single, name))
        self.refused("a wrong password", lambda: self.log_in("wrong"))
        self.log_in("correct horse")
        self.push_as(self.single, name)
        self.pull_again(name)
        (self.server.directory / "users").write_text("# nobody\n")
        self.refused("pulling when the user is gone", lambda: self.pull_again(name))
