#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Records the traces beside it: what real feeds say of odd programs, and what readers are to be told.

    record.py BUILD-DIR [NAME...]      as root; all scenarios, or those named

Each line of a trace is a kind and KEY=VALUE words; bytes that would break a line stand as in a URL.
Numbers of processes are made up, from 5000001 on, higher than any kernel gives out; 5000000 is who
started the command. Times are microseconds, from a time of our own on.

    fork thread exec thread-exit exit move   what the feed said (struct feed_event)
    proc, gone                               what /proc said when it was read, by the time `t`; it
                                             stands before the event at which it was read
    = EVENT ...                              what is to be published, in this order

What is to be published is not taken from the module: the model below follows PROTOCOL.md, for a
module whose settle time never ends and whose questions are answered at once. It is checked with what
the program itself told of its life.
"""

import json
import os
import re
import subprocess
import sys
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
FIRST_PID = 5000000
TICK_US = 10000
EPOCH_US = 1000 * 1000000  # where the made-up time begins
ATTEMPTS = 8
SHELLS = "sh bash dash ash zsh ksh mksh fish tcsh csh nu pwsh".split()

SCENARIOS = {
    "thread-exec": ["odd", "thread-exec"],
    "thread-exec-leader-gone": ["odd", "thread-exec", "--leader-gone"],
    "leader-leaves-exit-group": ["odd", "leader-leaves", "exit_group", "7"],
    "leader-leaves-raw": ["odd", "leader-leaves", "raw", "8"],
    "leader-leaves-signal": ["odd", "leader-leaves", "signal", "15"],
    "threads": ["odd", "threads", "3"],
    "vfork-exec": ["odd", "vfork-exec"],
    "posix-spawn": ["odd", "posix-spawn"],
    "clone-parent": ["odd", "clone-parent"],
    "clone-parent-inside": ["odd", "clone-parent", "inside"],
    "into-cgroup": ["odd", "into-cgroup", "{two-main}"],
    "into-subscope": ["odd", "into-cgroup", "{bg}"],
    "join-cgroup": ["odd", "join-cgroup", "{two-main}/cgroup.procs"],
    "move-subscope": ["odd", "move-cgroup", "{bg}/cgroup.procs"],
    "move-block": ["odd", "move-cgroup", "{two-main}/cgroup.procs"],
    "double-fork": ["odd", "double-fork"],
    "setsid-child": ["odd", "setsid-child"],
    "orphan": ["odd", "orphan"],
    "exec-chain": ["odd", "exec-chain", "4"],
    "signal": ["odd", "signal", "6"],
    "zombie": ["odd", "zombie"],
    "fork-chain": ["odd", "fork-chain", "5"],
    "pipeline": ["bash", "-c", "seq 9 | sort -r | head -n 1; true"],
}


# ---- recording ---------------------------------------------------------------------------------------


def cgroup_directory():
    """Our own cgroup's directory in the unified hierarchy."""
    own = next(line[3:].strip() for line in open("/proc/self/cgroup") if line.startswith("0::"))
    for line in open("/proc/self/mountinfo"):
        head, _, tail = line.partition(" - ")
        if tail.startswith("cgroup2 "):
            root, point = head.split()[3:5]
            return point + (own if root == "/" else own[len(root):]).rstrip("/")
    sys.exit("no cgroup2 file system is mounted")


def record(build, feed, argv):
    command = [os.path.join(build, argv[0]) if argv[0] == "odd" else argv[0], *argv[1:]]
    run = subprocess.run([os.path.join(build, "feed_trace"), feed, cgroup_directory(), *command],
                         stdout=subprocess.PIPE, check=True, text=True)
    return run.stdout.splitlines()


def parse(line):
    kind, *words = line.split(" ")
    return kind, {key: urllib.parse.unquote(value)
                  for key, _, value in (word.partition("=") for word in words)}


def split(lines, build):
    """The trace with made-up numbers, and what the program told."""
    said, truth, pids = [], [], {0: 0, 1: 1}
    begin = 0

    def pid_of(number):
        return pids.setdefault(int(number), FIRST_PID + len(pids) - 2)

    def time_of(microseconds):
        return microseconds - begin + EPOCH_US

    def text_of(text):
        text = re.sub(r"[^\0\s]*/feed-trace-\d+", "/root", text)
        text = re.sub(r"^[^\0]*/feed_trace\0.*", "/feed_trace\0", text, flags=re.DOTALL)
        return text.replace(build + "/", "/")

    for line in lines:
        if line.startswith("{"):
            told = json.loads(line)
            for key in ("pid", "ppid"):
                if key in told:
                    told[key] = pid_of(told[key])
            truth.append(told)
            continue
        kind, words = parse(line)
        if kind == "command":
            pid_of(words["maker"])
            pid_of(words["pid"])
            begin = int(words["t"]) // 1000 // TICK_US * TICK_US
        if kind not in ("fork", "thread", "exec", "thread-exit", "exit", "move", "proc", "gone"):
            continue
        for key in ("pid", "parent", "creator"):
            if key in words:
                words[key] = pid_of(words[key])
        if "tid" in words:  # a thread's number is used again as a process's at times
            words["tid"] = pid_of(words["tid"])
        for key in ("t", "start"):
            if key in words:
                words[key] = time_of(int(words[key]) // 1000)
        if "ticks" in words:
            words["ticks"] = time_of(int(words["ticks"]) * TICK_US) // TICK_US
        if "status" in words:
            words["status"] = int(words["status"])
        if "cpu" in words:
            words["cpu"] = int(words["cpu"]) // 1000
        for key in ("argv", "path", "cgroup"):
            if key in words:
                words[key] = text_of(words[key])
        said.append((kind, words))
    return said, truth


# ---- what readers are to be told ---------------------------------------------------------------------


def command_of(argv, comm):
    return argv.removesuffix("\0").replace("\0", " ") if argv else "[%s]" % (comm or "unknown")


def is_shell(argv):
    return bool(argv) and os.path.basename(argv.split("\0")[0]).lstrip("-") in SHELLS


def scope_at(place):
    """Block and sub-scope of a place (`one/bg`) or of a path (`/root/b-one/s-bg`)."""
    if place.startswith("/"):
        if not place.startswith("/root/b-"):
            return None
        place = place.removeprefix("/root/b-").replace("/s-", "/")
    if not place:
        return None
    block, _, scope = place.partition("/")
    return block, scope.removeprefix(block + "-") or "main"


class Life:
    def __init__(self, pid, where, parent_pid, parent, argv, comm):
        self.pid, self.where, self.parent_pid, self.parent = pid, where, parent_pid, parent
        self.argv, self.comm = argv, comm
        self.told, self.threads = False, 1
        self.started = (parent.started or is_shell(parent.argv)) if parent else parent_pid <= 1


class Model:
    """PROTOCOL.md, sections 3.1 and 3.2, for one feed's way of seeing."""

    def __init__(self, feed):
        self.places = feed == "bpf"
        self.lives, self.proc, self.told = {}, {}, []

    def tell(self, name, life, **more):
        self.told.append((name, {"block": life.where[0], "pid": life.pid, **more}))

    def record(self, name, life):
        life.started = life.started or is_shell(life.argv)
        self.tell(name, life, parent=life.parent_pid, scope=life.where[1],
                  started=int(life.started), command=command_of(life.argv, life.comm))

    def add(self, life):
        if not life.told:
            if life.parent and life.parent.pid in self.lives and \
                    life.parent.where[0] == life.where[0]:
                self.settle(life.parent)
            life.told = True
            self.record("added", life)

    def settle(self, life):
        """It is told now; where its place is not sure, after a look at /proc."""
        if life.told or (not self.places and not self.is_there(life)):
            return
        self.add(life)

    def is_there(self, life):
        """What /proc says of a member: its command, and where it is. False: it is no member."""
        proc = self.proc.get(life.pid)
        if not proc:
            return True
        if proc["argv"]: # who is about to end, or whose leader left, shows none
            life.argv, life.comm = proc["argv"], proc["comm"]
        elif not life.argv:
            life.comm = proc["comm"]
        where = scope_at(proc["cgroup"])
        if where and where[0] == life.where[0]:
            life.where = where
            return True
        if life.told:
            self.tell("escaped", life, reason="moved", where=proc["cgroup"])
        del self.lives[life.pid]
        if where:
            self.join(life.pid)
        return False

    def join(self, pid):
        """One that /proc shows in a block."""
        proc = self.proc.get(pid)
        where = scope_at(proc["cgroup"]) if proc else None
        if where:
            parent = self.member(proc["parent"], where)
            self.lives[pid] = Life(pid, where, proc["parent"], parent, proc["argv"], proc["comm"])
            self.add(self.lives[pid])

    def member(self, pid, where):
        life = self.lives.get(pid)
        return life if life and life.where[0] == where[0] else None

    def fork(self, event):
        maker = self.lives.get(event.get("creator", event["parent"]))
        where = scope_at(event["place"]) if self.places else None
        if not self.places and event["parent"] in self.lives:
            where = self.lives[event["parent"]].where
        if where:
            parent = self.member(event["parent"], where) or \
                self.member(event.get("creator", 0), where)
            self.lives[event["pid"]] = Life(event["pid"], where, event["parent"], parent,
                                            maker.argv if maker else "", "")
            if maker:
                self.settle(maker)
        elif not self.places and event["parent"] in {life.parent_pid
                                                     for life in self.lives.values()}:
            self.join(event["pid"])  # a member may have made it so (CLONE_PARENT)

    def exec(self, event):
        life = self.lives.get(event["pid"])
        if not life:
            if not self.places:
                self.join(event["pid"])
            return
        life.threads = 1
        life.argv, life.comm = event.get("argv", ""), event.get("comm", "")
        if "argv" not in event and not self.is_there(life):
            return
        if life.told:
            self.record("exec", life)
        else:
            self.add(life)

    def move(self, event):
        life, where = self.lives.get(event["pid"]), scope_at(event["place"])
        if life and where and where[0] == life.where[0]:
            changed, life.where = life.where != where, where
            if changed and life.told:
                self.record("changed", life)
            return
        if life:
            self.add(life)
            self.tell("escaped", life, reason="moved", where=event["path"])
            del self.lives[life.pid]
        if where:
            parent = self.member(event["parent"], where)
            self.lives[event["pid"]] = Life(event["pid"], where, event["parent"], parent,
                                            life.argv if life else "", event["comm"])

    def exit(self, event):
        life = self.lives.get(event["pid"])
        if life:
            self.add(life)
            self.tell("exited", life, status=event["status"])
            del self.lives[life.pid]

    def take(self, kind, event):
        if kind in ("proc", "gone"):
            self.proc[event["pid"]] = event if kind == "proc" else None
        elif kind == "thread":
            if event["pid"] in self.lives:
                self.lives[event["pid"]].threads += 1
        elif kind == "thread-exit":
            life = self.lives.get(event["pid"])
            if life and life.threads > 1:
                life.threads -= 1
            else:
                self.exit(event)
        else:
            getattr(self, kind)(event)


def check(name, feed, said, truth, told):
    """What the program told of itself against what readers are to be told. Returns what the feed could
    not see: that is no error."""
    missed = []
    added = {event["pid"]: event for kind, event in told if kind == "added"}
    ends = {event["pid"]: event["status"] for kind, event in told if kind == "exited"}
    commands = {(event["pid"], event["command"].rstrip()) for kind, event in told
                if kind in ("added", "exec")}
    unseen = {event["pid"] for kind, event in said
              if kind == "fork" and event["parent"] not in added} if feed == "netlink" else set()
    for line in truth:
        pid, what = line["pid"], line["what"]
        if pid in unseen - set(added):
            missed.append("process %d, made outside" % pid)
        elif what == "born":
            assert pid in added, "%s: %d was born" % (name, pid)
        elif what == "ends":
            assert ends[pid] & 0xff7f == line["status"] & 0xff7f, "%s: %s" % (name, line)
        elif what == "exec":
            command = line["command"].split("/")[-1]
            if not any(p == pid and c.endswith(command) for p, c in commands):
                missed.append("the command '%s' of %d, too short" % (command, pid))
    assert len(added) == len(ends) + sum(kind == "escaped" for kind, _ in told) - \
        (sum(kind == "added" for kind, _ in told) - len(added)), "%s: who was added ends" % name
    return sorted(set(missed))


# ---- writing -----------------------------------------------------------------------------------------


def line_of(kind, words):
    return " ".join([kind] + ["%s=%s" % (key, urllib.parse.quote(str(value), safe="/[]().,:{}|;"))
                              for key, value in words.items()])


def write(name, feed, argv, said, told):
    path = os.path.join(HERE, "%s.%s.trace" % (name, feed))
    with open(path, "w") as out:
        print("# SPDX-License-Identifier: Apache-2.0", file=out)
        print("# %s, as the feed %s tells it" % (" ".join(argv), feed), file=out)
        print("feed name=%s" % feed, file=out)
        for kind, words in said:
            print(line_of(kind, words), file=out)
        for kind, words in told:
            print("= " + line_of(kind, words), file=out)


def best(build, name, feed):
    """Of some recordings the one in which the feed saw most."""
    records = []
    for _ in range(ATTEMPTS):
        said, truth = split(record(build, feed, SCENARIOS[name]), build)
        model = Model(feed)
        for kind, event in said:
            model.take(kind, event)
        missed = check(name, feed, said, truth, model.told)
        records.append((missed, said, model.told))
        if not missed:
            break
    return min(records, key=lambda record: len(record[0]))


def main():
    build, *names = sys.argv[1:]
    build = os.path.abspath(build)
    for name in names or SCENARIOS:
        for feed in ("bpf", "netlink"):
            missed, said, told = best(build, name, feed)
            for what in missed:
                print("%s: the feed %s could not see %s" % (name, feed, what))
            write(name, feed, SCENARIOS[name], said, told)


main()
