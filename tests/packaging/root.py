# SPDX-License-Identifier: Apache-2.0
"""A root of one's own to install into: the machine's, or a fresh Debian, with what is changed kept apart.

Scripts run in it with namespaces of their own, so nothing of the machine is changed or seen changed; what
they start ends with them.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ["PACKAGING_BUILD"])
PACKAGES = pathlib.Path(os.environ.get("PACKAGING_PACKAGES", BUILD / "packages"))
#: A fresh Debian, made by debootstrap; else the machine's own root is below.
FRESH = os.environ.get("PACKAGING_ROOT")
DEADLINE = 300 if FRESH else 120

NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--ipc", "--uts"]


def package(name):
    """The file of that package."""
    found = sorted(PACKAGES.glob(f"{name}_*.deb"))
    assert len(found) == 1, f"{name}: {found}: cpack makes one"
    return found[0]


def _cgroup_of_ours():
    """The directory of our own cgroup of version 2."""
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        mounts = [line.split() for line in lines if " - cgroup2 " in line]
    with open("/proc/self/cgroup", encoding="utf-8") as lines:
        own = [line[3:].rstrip("\n") for line in lines if line.startswith("0::")]
    if not mounts or not own:
        raise OSError("cgroup v2 is not mounted")
    return pathlib.Path(mounts[0][4] + own[0].rstrip("/"))


#: What scripts share: `wait_until WORD...` waits until that command succeeds.
PRELUDE = """set -eu
wait_until() {
    local end=$((SECONDS + 60))
    while ! "$@" >/dev/null 2>&1; do
        if [ $SECONDS -gt $end ]; then echo "never came true: $*"; exit 99; fi
        sleep 0.02
    done
}
members() { proctrack ps --json "$1" | grep -o '"pid"' | wc -l; }
has_members() { [ "$(members "$1")" = "$2" ]; }
as_nobody() {
    setpriv --reuid=65534 --regid=65534 --clear-groups \\
        env XDG_RUNTIME_DIR=/run/user/65534 HOME=/run/user/65534 "$@"
}
"""


class Root:
    """Changes are kept from one script to the next, until close(). It begins as `like` is now."""

    def __init__(self, like=None):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-root-"))
        for name in ("upper", "work", "root", "shared"):
            (self.home / name).mkdir()
        self.lower = [pathlib.Path(FRESH or "/")]
        if like and FRESH:
            self.lower = [like.home / "upper", *like.lower]
        elif like:  # its place is in the layer below it, which overlayfs refuses
            subprocess.run(["cp", "--archive", f"{like.home}/upper", self.home], check=True)
        self.shared = self.home / "shared"  # /run/trial inside

    def close(self):
        shutil.rmtree(self.home, ignore_errors=True)

    def _enter(self, mode, script):
        """Ends with all that it started, in a cgroup that is removed again."""
        (self.shared / "inside").write_text(script)
        cgroup = _cgroup_of_ours() / f"proctrack-root-{os.getpid()}-{time.monotonic_ns()}"
        cgroup.mkdir()
        # The shell is in the cgroup before the namespace of cgroups is made, which begins there.
        command = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', cgroup, *NAMESPACES,
                   HERE / "enter", self.home, ":".join(map(str, self.lower)), mode]
        try:
            return subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE)
        finally:
            self._remove(cgroup)

    @staticmethod
    def _remove(cgroup):
        (cgroup / "cgroup.kill").write_text("1")
        until = time.monotonic() + 20
        while "populated 1" in (cgroup / "cgroup.events").read_text() and time.monotonic() < until:
            time.sleep(0.01)
        for directory, _, _ in os.walk(cgroup, topdown=False):
            os.rmdir(directory)

    def run(self, script):
        """What a shell at work on that says. RuntimeError where it fails."""
        ended = self._enter("run", PRELUDE + script)
        if ended.returncode != 0:
            raise RuntimeError(f"{script}\n[{ended.returncode}]\n{ended.stdout}")
        return ended.stdout

    def boot(self, script):
        """The same, with systemd as pid 1."""
        out = self.shared / "out"
        out.write_text("")
        ended = self._enter("boot", f"{PRELUDE}{script}\necho the script is through\n")
        said = out.read_text()
        if "the script is through" not in said:
            log = self.shared / "wpsd.log"
            raise RuntimeError(f"{script}\n[{ended.returncode}]\n{ended.stdout}\n{said}\n"
                               f"{log.read_text() if log.exists() else ''}")
        return said

    def put(self, path):
        """A file where scripts find it: its path inside."""
        shutil.copy(path, self.shared)
        return f"/run/trial/{pathlib.Path(path).name}"

    def install(self, *names):
        """Installs those packages, in a fresh Debian with all that they depend on."""
        files = " ".join(self.put(package(name)) for name in names)
        if FRESH:
            shutil.copy("/etc/resolv.conf", self.shared)
            return self.run(f"cp /run/trial/resolv.conf /etc/resolv.conf; apt-get update -q\n"
                            f"apt-get install -y -q --no-install-recommends {files}")
        # Without what takes long on a machine with much on it, and has nothing to do with these.
        return self.run(f"rm -f /var/lib/man-db/auto-update; dpkg --force-unsafe-io --install {files}")

    def changed(self):
        """The files that were added or changed, and the directories that were added."""
        found = set()
        for directory, below, names in os.walk(self.home / "upper"):
            inside = pathlib.Path(directory).relative_to(self.home / "upper")
            found |= {f"/{inside / name}" for name in names}
            found |= {f"/{inside / name}" for name in below
                      if not any((lower / inside / name).exists() for lower in self.lower)}
        return found


def why_not():
    """Why there can be no root here; None: there can."""
    if os.geteuid() != 0:
        return "a root of one's own takes root's rights"
    try:
        _cgroup_of_ours()
    except OSError as error:
        return str(error)
    home = pathlib.Path(tempfile.mkdtemp(prefix="proctrack-root-"))
    try:
        for name in ("upper", "work", "root"):
            (home / name).mkdir()
        mount = f"mount -t overlay overlay -o lowerdir=/,upperdir={home}/upper,workdir={home}/work {home}/root"
        ended = subprocess.run([*NAMESPACES, "sh", "-c", f"{mount} && mount -t cgroup2 cgroup2 {home}/upper"],
                               text=True, capture_output=True, timeout=DEADLINE)
        return None if ended.returncode == 0 else f"no root can be made here: {ended.stderr.strip()}"
    finally:
        shutil.rmtree(home, ignore_errors=True)
