# SPDX-License-Identifier: Apache-2.0
"""The packages, installed into a root of their own: they work, also under systemd, and leave nothing."""

import json
import os
import unittest

import root
from root import FRESH, Root

ALL = ("proctrack", "libproctrack0", "libproctrack-dev", "python3-proctrack")

#: What dpkg and the programs that it calls write down for themselves, whatever is installed.
BOOKS = ("/var/lib/dpkg/", "/var/lib/apt/", "/var/lib/man-db/", "/var/cache/", "/var/log/", "/etc/ld.so.cache")

#: The broker, by hand; returns when it is ready.
START = """
exec 3< <(exec wpsd --config /etc/wps/wpsd.conf 2>&1)
broker=$!
while read -r line <&3; do case $line in *" ready: "*) break ;; esac; done
"""

WHY_NOT = root.why_not()


def needs_systemd(test):
    there = FRESH or os.path.exists("/lib/systemd/systemd")
    return unittest.skipUnless(there, "systemd is not installed")(test)


def setUpModule():
    """Installed once; each test has what it changes for itself."""
    if WHY_NOT:
        return
    global installed
    installed = Root()
    unittest.addModuleCleanup(installed.close)
    installed.install(*ALL)
    if FRESH:
        installed.run("apt-get install -y -q --no-install-recommends "
                      "systemd dbus-user-session libcap2-bin")


@unittest.skipIf(WHY_NOT, WHY_NOT)
class Installed(unittest.TestCase):
    def setUp(self):
        self.root = Root(like=installed)
        self.addCleanup(self.root.close)


class ByHand(Installed):
    def test_the_doctor_finds_the_installed_programs_and_tries_them(self):
        found = json.loads(self.root.run("proctrack doctor --json || true"))["findings"]
        told = {item["what"]: item for item in found if item["section"] == "trial"}
        self.assertEqual(told["programs"]["why"], "/usr/bin/wpsd with /usr/lib/wps/plugins/proctrack.so")
        self.assertEqual(told["tracker lineage"]["state"], "ok")
        self.assertEqual(told["feed poll"]["state"], "ok")

    def test_a_broker_with_the_installed_configuration_serves(self):
        said = self.root.run(START + """
proctrack run --block demo --create -- sh -c 'sleep 1000 >/dev/null 2>&1 & echo "I am in $PROCTRACK_BLOCK"'
proctrack ls --quiet
has_members demo 1
proctrack rm demo
kill $broker
wait $broker
echo "ended: $?"
ls -A /run/wps
""")
        self.assertEqual(said.splitlines(), ["I am in demo", "demo", "demo: removed", "ended: 0", "wpsd.lock"])

    def test_the_python_client_is_found_and_asks(self):
        said = self.root.run(START + """
cd /
python3 -c '
import asyncio, importlib.metadata, proctrack
async def main():
    async with proctrack.Client() as client:
        print((await client.describe())["version"], importlib.metadata.version("proctrack"))
asyncio.run(main())'
kill $broker
""")
        version, of_package = said.split()
        self.assertEqual(version, of_package)

    def test_the_loader_finds_the_library(self):
        self.assertIn("libproctrack.so.0 ", self.root.run("ldconfig -p | grep libproctrack"))

    def test_a_configuration_that_was_changed_survives_an_upgrade(self):
        again = self.root.put(root.package("proctrack"))
        said = self.root.run(f"""
sed -i 's/^#log-level = .*/log-level = "debug"/' /etc/wps/wpsd.conf
dpkg --force-unsafe-io --install {again} >/dev/null 2>&1
grep ^log-level /etc/wps/wpsd.conf
""")
        self.assertEqual(said, 'log-level = "debug"\n')


class Purged(unittest.TestCase):
    @unittest.skipIf(WHY_NOT, WHY_NOT)
    def test_a_purge_leaves_no_file(self):
        """Also where it was used, and enabled."""
        place = Root()
        self.addCleanup(place.close)
        place.install(*ALL)
        self.assertIn("/usr/bin/wpsd", place.changed())
        place.run(START + """
proctrack run --block demo --create -- true
python3 -c 'import proctrack'
kill $broker
wait $broker
if command -v systemctl >/dev/null; then
    systemctl enable wpsd.service
    systemctl --global enable wpsd.service
fi
""")
        remove = "apt-get purge --autoremove -y -q" if FRESH else "dpkg --force-unsafe-io --purge"
        place.run(f"{remove} {' '.join(ALL)}")
        left = {path for path in place.changed() if not path.startswith(BOOKS)}
        if FRESH:
            left.discard("/etc/resolv.conf")
        self.assertEqual(left, set())


@needs_systemd
class System(Installed):
    """The unit of the system, started by systemd, in its sandbox."""

    def test_it_is_ready_when_started_and_has_all_that_a_broker_of_root_has(self):
        said = self.root.boot("""
systemctl start wpsd.service
systemctl show --property ActiveState,StatusText wpsd.service
proctrack doctor --json --no-trial || true
stat --format %a /run/wps
systemctl reload wpsd.service
systemctl show --property StatusText wpsd.service
systemctl stop wpsd.service
""")
        self.assertIn("ActiveState=active\n", said)
        self.assertEqual(said.count("StatusText=serves\n"), 2)
        (line,) = [line for line in said.splitlines() if line.startswith("{")]
        broker = {item["what"]: item for item in json.loads(line)["findings"] if item["section"] == "broker"}
        self.assertEqual(broker["tracker cgroup"]["state"], "ok", broker)
        self.assertIn("tracker cgroup", broker["module"]["why"])
        self.assertIn("on_crash: kill can be had", broker["keeper"]["why"])
        # The same feeds as without a sandbox.
        bare = json.loads(self.root.run("proctrack doctor --json || true"))["findings"]
        (bpf,) = [item for item in bare if item["what"] == "feed bpf"]
        self.assertEqual("feed bpf" in broker["module"]["why"], bpf["state"] == "ok", broker)
        self.assertIn("\n700\n", said)

    def test_what_runs_in_a_block_is_not_in_the_sandbox(self):
        """Neither in that of the process, nor in one of the cgroup: a device that no service is given by
        itself can be opened, and nothing limits how many there are."""
        said = self.root.boot("""
systemctl start wpsd.service
mknod /run/kmsg c 1 11
proctrack run --block demo --create -- sh -c '
    exec 3</run/kmsg && echo opened
    grep -E "^(NoNewPrivs|Seccomp):" /proc/self/status
    : >/etc/written && echo written
    cat /proc/self/oom_score_adj'
cat /sys/fs/cgroup/system.slice/wpsd.service/pids.max 2>/dev/null || echo max
systemctl stop wpsd.service
""")
        self.assertEqual([line.split()[-1] for line in said.splitlines()][:-1],
                         ["opened", "0", "0", "written", "0", "max"])

    def test_a_crash_and_a_stop_keep_what_each_block_was_promised(self):
        said = self.root.boot("""
systemctl start wpsd.service
python3 -c '
import asyncio, proctrack
async def main():
    async with proctrack.Client() as client:
        await client.ensure_tracker("doomed", on_crash="kill")
        await client.ensure_tracker("kept", on_exit="keep")
        await client.ensure_tracker("plain")
asyncio.run(main())'
for block in doomed kept plain; do
    proctrack run --block $block -- sleep 1000 &
    wait_until has_members $block 1
done
first=$(systemctl show --property MainPID --value wpsd.service)
kill -KILL "$first"
has_new_pid() { [ "$(systemctl show --property MainPID --value wpsd.service)" != "$first" ]; }
wait_until has_new_pid
wait_until proctrack ls
echo "after the crash: $(proctrack ls --quiet | sort | xargs)"
systemctl stop wpsd.service
echo "stopped: $(systemctl show --property ActiveState,Result --value wpsd.service | xargs)"
systemctl start wpsd.service
echo "after the stop: $(proctrack ls --quiet | xargs), with $(members kept)"
proctrack rm kept
systemctl stop wpsd.service
""")
        self.assertIn("after the crash: kept plain\n", said)
        self.assertIn("stopped: success inactive\n", said)
        self.assertIn("after the stop: kept, with 1\n", said)

    def test_an_upgrade_leaves_the_broker_alone_and_a_removal_stops_it(self):
        again = self.root.put(root.package("proctrack"))
        said = self.root.boot(f"""
rm -f /usr/sbin/policy-rc.d  # by which images of containers forbid packages to stop anything
systemctl start wpsd.service
before=$(systemctl show --property MainPID --value wpsd.service)
proctrack run --block demo --create -- sleep 1000 &
wait_until has_members demo 1
dpkg --force-unsafe-io --install {again} >/dev/null 2>&1
[ "$(systemctl show --property MainPID --value wpsd.service)" = "$before" ] && echo "the same"
has_members demo 1 && echo "still there"
dpkg --force-unsafe-io --remove proctrack >/dev/null 2>&1
[ -e /proc/$before ] || echo gone
ls -d /run/wps /etc/wps/wpsd.conf 2>/dev/null || true
""")
        lines = [line for line in said.splitlines()[:-1] if "Killed" not in line]  # the shell tells of the block
        self.assertEqual(lines, ["the same", "still there", "gone", "/etc/wps/wpsd.conf"])


@needs_systemd
class User(Installed):
    """The unit of a user, started by that user's systemd."""

    def test_it_serves_its_user_and_what_that_users_systemd_runs(self):
        said = self.root.boot("""
systemctl start manager-of-nobody.service
as_nobody systemctl --user start wpsd.service
as_nobody systemd-run --user --pipe --wait --collect --quiet \\
    proctrack run --block demo --create -- sh -c 'id -un; echo "in $PROCTRACK_BLOCK"; grep ^0:: /proc/self/cgroup'
as_nobody proctrack ls --json | grep -o '"confidence": *"[a-z]*"'
stat --format '%U %a' /run/user/65534/wps
as_nobody systemctl --user stop wpsd.service
""")
        self.assertIn("nobody\nin demo\n", said)
        self.assertRegex(said, r"0::/system.slice/manager-of-nobody.service/app.slice/wpsd.service/\S+/b-demo/")
        self.assertRegex(said, r'"confidence": *"high"')
        self.assertIn("\nnobody 700\n", said)

    def test_a_users_own_configuration_is_a_drop_in(self):
        said = self.root.boot("""
systemctl start manager-of-nobody.service
as_nobody sh -c '
    mkdir -p ~/.config/wps ~/.config/systemd/user/wpsd.service.d
    sed "s/#max-blocks = .*/max-blocks = \\"7\\"/" /etc/wps/wpsd.conf >~/.config/wps/wpsd.conf
    printf "[Service]\\nEnvironment=WPSD_CONFIG=%%E/wps/wpsd.conf\\n" \
        >~/.config/systemd/user/wpsd.service.d/mine.conf
    systemctl --user daemon-reload
    systemctl --user start wpsd.service'
as_nobody proctrack doctor --no-trial || true
""")
        self.assertRegex(said, r"limits .*\bblocks 7\b")

    def test_who_is_in_a_cgroup_of_roots_is_refused_and_told_why(self):
        """As a login is that is no unit of the user's systemd."""
        said = self.root.boot("""
systemctl start manager-of-nobody.service
as_nobody systemctl --user start wpsd.service
as_nobody proctrack run --block demo --create -- echo was run || echo "status $?"
""")
        self.assertNotIn("was run\n", said.replace("was not run", ""))
        self.assertIn("Permission denied", said)
        self.assertIn("status 125\n", said)

    def test_rights_that_were_given_to_the_file_are_kept(self):
        bare = json.loads(self.root.run("proctrack doctor --json || true"))["findings"]
        if next(item for item in bare if item["what"] == "feed bpf")["state"] != "ok":
            self.skipTest("the feed bpf does not work here, whatever the rights")
        said = self.root.boot("""
setcap cap_bpf,cap_perfmon+ep /usr/bin/wpsd
systemctl start manager-of-nobody.service
as_nobody systemctl --user start wpsd.service
as_nobody proctrack doctor --no-trial || true
""")
        self.assertIn("tracker cgroup, feed bpf", said)



if __name__ == "__main__":
    unittest.main()
