#!/usr/bin/env python3
"""The Debian package on a clean Debian 12: installed, started, used, without users and with them and TLS, upgraded, removed and purged under a
real systemd.

  run.py [--package DEB] [--root DIR]

debootstrap makes the root (or --root has one already, which is copied), systemd-nspawn boots it without a network, and a
script inside does what an administrator does. It needs root, as `make package-test` says.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/oidc"))
from issuer import Issuer   # noqa: E402

EXPOSURE = 2.0      # of 10, of systemd-analyze security
NEEDED = "systemd,systemd-sysv,dbus,ca-certificates,curl,adduser"
passed = failed = 0


def check(holds, what, detail=""):
    global passed, failed
    passed, failed = passed + bool(holds), failed + (not holds)
    print(f"{'pass' if holds else 'FAIL'}  {what}" + (f": {detail}" if detail and not holds else ""), flush=True)


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, errors="replace", timeout=600, **options)


def sources():
    """Where this machine's own Debian packages come from: the first http address of its sources."""
    for path in sorted(Path("/etc/apt").glob("sources.list.d/*")) + [Path("/etc/apt/sources.list")]:
        for line in path.read_text().splitlines() if path.is_file() else ():
            words = line.split()
            if words and words[0] in ("URIs:", "deb") and "security" not in line:
                for word in words[1:]:
                    if word.startswith("http"):
                        return word
    sys.exit("package: no source of Debian packages is configured in /etc/apt")


def clean_root(options, root):
    if options.root:
        run("cp", "-a", options.root, root)
        return
    made = run("debootstrap", "--variant=minbase", f"--include={NEEDED}", "bookworm", root, sources())
    if made.returncode:
        sys.exit(f"package: debootstrap failed:\n{made.stdout[-2000:]}{made.stderr[-2000:]}")
    (root / "etc/resolv.conf").write_text(Path("/etc/resolv.conf").read_text())


# Each line of its output that begins with pass or FAIL is a check.
SCRIPT = r"""
ok() { echo "pass  $1"; }
bad() { echo "FAIL  $1: $2"; systemctl status --no-pager -l stele | tail -n 20; }
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "it is '$2', not '$3'"; fi; }
R=http://127.0.0.1:5000
C="curl -s -o /dev/null -w %{http_code}"
# The start-up has no event that this script could wait for, but the port.
serves() { for _ in $(seq 300); do [ "$($C $R/livez)" = 200 ] && return; sleep 0.1; done; bad "it serves" "30 s passed"; }

dpkg -i /var/tmp/stele.deb >/var/tmp/install.log 2>&1 || { cat /var/tmp/install.log; bad "the installation" "see above"; exit 1; }
is "it runs after the installation" "$(systemctl is-active stele)" active
is "it is started at boot" "$(systemctl is-enabled stele)" enabled
serves
is "its user" "$(ps -o user= -p "$(systemctl show -p MainPID --value stele)")" stele
is "the configuration is for the service alone" "$(stat -c '%U:%G %a' /etc/stele/stele.yaml)" "root:stele 640"
is "the data is for the service alone" "$(stat -c '%U:%G %a' /var/lib/stele)" "stele:stele 750"
is "root administers by the socket" "$(stele status --data /var/lib/stele >/dev/null; echo $?)" 0

printf '{}' >/tmp/config
D=sha256:$(sha256sum /tmp/config | cut -d' ' -f1)
is "a blob" "$($C -X POST --data-binary @/tmp/config -H 'Content-Type: application/octet-stream' "$R/v2/demo/blobs/uploads/?digest=$D")" 201
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"%s","size":2},"layers":[]}' "$D" >/tmp/manifest
put() { $C -X PUT --data-binary @"$2" -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' "$R/v2/demo/manifests/$1"; }
is "a release" "$(put 1.0.0 /tmp/manifest)" 201
sed 's/"layers"/"annotations":{"a":"b"},"layers"/' /tmp/manifest >/tmp/other
is "a release does not move" "$(put 1.0.0 /tmp/other)" 409

echo 'version: 1' >/etc/stele/policy.yaml
sed -i 's/^# policy:/policy:/' /etc/stele/stele.yaml
is "the changed configuration is valid" "$(stele config check /etc/stele/stele.yaml >/dev/null; echo $?)" 0
systemctl restart stele; serves
is "the policy is read" "$(stele policy explain demo:1.0.0 --policy /etc/stele/policy.yaml >/dev/null; echo $?)" 0
systemctl reload stele
is "it runs after a reload" "$(systemctl is-active stele)" active
P=$(systemctl show -p MainPID --value stele)
kill -9 "$P"
for _ in $(seq 300); do N=$(systemctl show -p MainPID --value stele); [ "$N" != 0 ] && [ "$N" != "$P" ] && break; sleep 0.1; done
serves
is "it comes back after kill -9, with the release" "$($C $R/v2/demo/manifests/1.0.0)" 200

is "a large blob within the service's walls" "$(head -c 20000000 /dev/urandom >/tmp/large; L=sha256:$(sha256sum /tmp/large | cut -d' ' -f1); $C -X POST --data-binary @/tmp/large -H 'Content-Type: application/octet-stream' "$R/v2/demo/blobs/uploads/?digest=$L")" 201
is "a backup within the service's walls" "$(stele backup --data /var/lib/stele /var/lib/stele/copy.db >/tmp/backup.log 2>&1; echo $?)" 0
is "a scrub within the service's walls" "$(stele scrub start --data /var/lib/stele >/tmp/scrub.log 2>&1 || cat /tmp/scrub.log; echo $?)" 0
# As a site begins: a certificate, users of a file, local users, CI jobs, rules.
(umask 077; mkdir -m 755 /etc/stele/tls; cd /etc/stele/tls
 openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem 2>/dev/null
 chmod 644 cert.pem; chown root:stele key.pem; chmod 640 key.pem)
printf 'carol:%s\n' "$(openssl passwd -6 'correct horse 1')" >/etc/stele/users
cp /var/tmp/keys.json /etc/stele/keys.json
chown root:stele /etc/stele/users /etc/stele/keys.json; chmod 640 /etc/stele/users
cat >>/etc/stele/stele.yaml <<'YAML'
tls: {cert: /etc/stele/tls/cert.pem, key: /etc/stele/tls/key.pem}
auth:
  htpasswd: {file: /etc/stele/users}
  local_users: on
  oidc: [{name: ci, issuer: "http://127.0.0.1:9", audience: registry.example, claims: {}, jwks_file: /etc/stele/keys.json}]
YAML
cat >/etc/stele/policy.yaml <<'YAML'
version: 1
access_rules:
  - {name: demo, who: [anonymous], repositories: [demo], allow: [pull]}
  - {name: team, who: ["group:dev", "user:carol", {oidc: "http://127.0.0.1:9", repository_id: "4711"}], repositories: ["team/**"], allow: [pull, push]}
YAML
is "a configuration with TLS and users is valid" "$(stele config check /etc/stele/stele.yaml >/dev/null; echo $?)" 0
R=https://localhost:5000
C="curl -s --cacert /etc/stele/tls/cert.pem -o /dev/null -w %{http_code}"
systemctl restart stele; serves
is "a stranger is asked who he is" "$($C $R/v2/)" 401
is "root makes a user by the socket" "$(echo 'correct horse 2' | stele user add ann --group dev --password-stdin --data /var/lib/stele >/tmp/user.log 2>&1 || cat /tmp/user.log; echo $?)" 0
# who pushes: CREDENTIALS (of curl) REPOSITORY; the status of the blob and of the image
push() {
  local at="$R/v2/$2" token
  token=$(curl -s --cacert /etc/stele/tls/cert.pem -u "$1" "$R/token?service=stele&scope=repository:$2:pull,push" | sed -n 's/.*"token": *"\([^"]*\)".*/\1/p')
  echo "$($C -X POST --data-binary @/tmp/config -H "Authorization: Bearer $token" -H 'Content-Type: application/octet-stream' "$at/blobs/uploads/?digest=$D")" \
       "$($C -X PUT --data-binary @/tmp/manifest -H "Authorization: Bearer $token" -H 'Content-Type: application/vnd.oci.image.manifest.v1+json' "$at/manifests/1")"
}
is "a local user pushes with a token" "$(push 'ann:correct horse 2' team/ann)" "201 201"
is "a user of the file does" "$(push 'carol:correct horse 1' team/carol)" "201 201"
is "a job with its ID token does" "$(push "ci:$(cat /var/tmp/id-token)" team/ci)" "201 201"
is "nobody pushes where no rule lets him" "$(push 'ann:correct horse 2' other/ann)" "403 403"
is "what is public is pulled without a login, and nothing else" "$($C $R/v2/demo/manifests/1.0.0) $($C $R/v2/team/ann/manifests/1)" "200 401"
printf 'carol:%s\n' "$(openssl passwd -6 'correct horse 3')" >/etc/stele/users.new
chown root:stele /etc/stele/users.new; chmod 640 /etc/stele/users.new; mv /etc/stele/users.new /etc/stele/users
is "another password holds at the next request" "$($C -u 'carol:correct horse 1' $R/v2/) $($C -u 'carol:correct horse 3' $R/v2/)" "401 200"
sed -i 's|"team/\*\*"|"team/**", "other/**"|' /etc/stele/policy.yaml
systemctl reload stele
for _ in $(seq 100); do [ "$(push 'ann:correct horse 2' other/ann)" = "201 201" ] && break; sleep 0.1; done
is "a rule that is changed holds after a reload" "$(push 'ann:correct horse 2' other/ann)" "201 201"
is "the keys of tokens are for the service alone" "$(stat -c '%U %a' /var/lib/stele/token-keys.json)" "stele 600"
is "no password is in the journal" "$(journalctl -q -b -u stele --no-pager | grep -c 'correct horse')" 0

is "nothing was refused by the system call filter" "$(journalctl -q -b -u stele --no-pager | grep -i 'seccomp\|SIGSYS\|Operation not permitted\|SECCOMP')" ""
is "a kill loses no record of pulls" "$(journalctl -q -b -u stele --no-pager | grep 'begins anew')" ""

dpkg -i /var/tmp/stele.deb >/var/tmp/again.log 2>&1 || cat /var/tmp/again.log
is "an upgrade leaves the changed configuration" "$(grep -c '^policy:' /etc/stele/stele.yaml)" 1
is "it runs after an upgrade" "$(systemctl is-active stele)" active
serves
is "and has the release" "$($C $R/v2/demo/manifests/1.0.0)" 200

dpkg -r stele >/var/tmp/remove.log 2>&1 || cat /var/tmp/remove.log
is "removed, it is stopped" "$($C $R/livez)" 000
is "the data stays when it is removed" "$(test -s /var/lib/stele/stele.db && echo yes)" yes
dpkg -i /var/tmp/stele.deb >/var/tmp/back.log 2>&1 || cat /var/tmp/back.log
serves
is "installed again, it has the release" "$($C $R/v2/demo/manifests/1.0.0)" 200
rm -r /etc/stele/policy.yaml /etc/stele/users /etc/stele/keys.json /etc/stele/tls
dpkg -P stele >/var/tmp/purge.log 2>&1 || cat /var/tmp/purge.log
is "the data stays when it is purged, and that is said" "$(test -s /var/lib/stele/stele.db && grep -c 'was kept' /var/tmp/purge.log)" 1
is "purged, nothing of it is left but the data" "$(find / -xdev -name '*stele*' -not -path '/var/tmp/*' -not -path '/proc/*' -not -path '/var/lib/stele*' -not -path '/tmp/*' -not -path '/var/log/*' -not -path '/etc/systemd/system/*' -not -path '/var/backups/*' -not -path '/var/cache/*' | tr '\n' ' ')" ""
echo end
"""

UNIT = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
ExecStart=/bin/bash /var/tmp/script
ExecStopPost=/bin/systemctl poweroff --force
StandardOutput=file:/var/tmp/result
StandardError=file:/var/tmp/result
"""


def boot(root):
    """What the script said."""
    (root / "var/tmp/script").write_text(SCRIPT)
    (root / "etc/systemd/system/package-test.service").write_text(UNIT)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "package-test.service").symlink_to("/etc/systemd/system/package-test.service")
    try:
        said = run("timeout", "300", "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--console=pipe",
                   "--boot", "--directory", root, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return ""
    result = root / "var/tmp/result"
    return result.read_text() if result.exists() else f"it did not boot:\n{said.stdout[-2000:]}{said.stderr[-2000:]}"


def tests(options, directory):
    unit = ROOT / "deploy/debian/stele.service"
    judged = run("systemd-analyze", "security", "--offline=true", f"--threshold={int(EXPOSURE * 10)}", unit)
    check(judged.returncode == 0, f"the unit's exposure is at most {EXPOSURE}", (judged.stdout + judged.stderr)[-300:])
    root = directory / "root"
    clean_root(options, root)
    depends = run("dpkg-deb", "--field", options.package, "Depends").stdout
    names = [entry.split("(")[0].strip() for entry in depends.split(",")]
    installed = run("chroot", root, "sh", "-c", "apt-get update -qq && apt-get install -y -qq --no-install-recommends procps " + " ".join(names),
                    env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"})
    check(installed.returncode == 0, "a clean Debian 12 has what the package depends on", (installed.stdout + installed.stderr)[-1000:])
    shutil.copy2(options.package, root / "var/tmp/stele.deb")
    issuer = Issuer()   # nobody's that is asked: the service has its keys in a file
    issuer.port = 9
    (root / "var/tmp/keys.json").write_text(json.dumps(issuer.key_set()))
    (root / "var/tmp/id-token").write_text(issuer.token(exp=int(time.time()) + 3600))
    said = boot(root)
    print(said, flush=True)
    for line in said.splitlines():
        if line.startswith("pass  "):
            check(True, line[6:])
        elif line.startswith("FAIL  "):
            check(False, line[6:])
    check(said.rstrip().endswith("end"), "the script inside came to its end")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, default=None, metavar="DEB")
    parser.add_argument("--root", type=Path, default=None, metavar="DIR")
    options = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("package: it boots a Debian of its own, which needs root: sudo make package-test")
    if not options.package:
        options.package = max((ROOT / "build/release/package").glob("stele_*.deb"), key=lambda path: path.stat().st_mtime)
    with tempfile.TemporaryDirectory(prefix="stele-package.", dir=os.environ.get("TMPDIR", "/var/tmp")) as directory:
        tests(options, Path(directory))
    print(f"package: {passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
