# SPDX-License-Identifier: Apache-2.0
"""What the shells complete behind `proctrack`, in shells at a terminal and with a broker."""

import os
import pathlib
import pty
import select
import shutil
import subprocess
import sys
import time
import unittest

import zmq

from pages import BUILD, MODULE, ROOT
from test_man import help_of, options_of

sys.path.insert(0, str(ROOT / "tests" / "broker"))

from wpsd import DEADLINE, BrokerTest  # noqa: E402

COMPLETIONS = ROOT / "cli" / "completions"

#: Each makes M-* put all completions into the line, and C-x C-b tell the line and clear it.
BASH = r"""
PS1= PS2=
set +o history
tell() { printf '%s\n' "$READLINE_LINE" >&3; READLINE_LINE=; READLINE_POINT=0; }
bind '"\e*": insert-completions' 2>/dev/null
bind -x '"\C-x\C-b": tell'
source PLACE/proctrack.bash
"""
ZSH = r"""
PS1= PS2=
fpath=(PLACE $fpath)
autoload -Uz compinit && compinit -D -u
zle -C all complete-word _generic
zstyle ':completion:all:*' completer _all_matches _complete
zstyle ':completion:all:*' insert yes
bindkey -e
bindkey '\e*' all
tell() { print -r -- "$BUFFER" >&3; BUFFER=; }
zle -N tell
bindkey '^X^B' tell
"""


class Completions:
    def setUp(self):
        super().setUp()
        broker = self.broker("--plugin", f"{MODULE},feed=poll")
        control = self.connect(zmq.REQ, broker.endpoint("control"))
        for block in ("build-1", "build-2", "demo"):
            self.ask_ok("ensure_tracker", {"block_id": block}, control)
        self.shell(os.environ | {"WPS_RUNTIME_DIR": self.runtime})

    def shell(self, env):
        """A shell at a terminal, that tells its line by a pipe."""
        setup = pathlib.Path(self.home, "setup")
        setup.write_text(self.rc.replace("PLACE", str(COMPLETIONS)))
        self.terminal, slave = pty.openpty()
        self.told, telling = os.pipe()
        self.addCleanup(os.close, self.terminal)
        self.addCleanup(os.close, self.told)
        env = env | {"PATH": f"{BUILD}:{os.environ['PATH']}", "TERM": "dumb", "LC_ALL": "C.UTF-8"}
        process = subprocess.Popen(
            ["sh", "-c", 'exec 3>/proc/self/fd/$1; shift; exec "$@"', "sh", str(telling), *self.start_it], env=env,
            stdin=slave, stdout=slave, stderr=slave, pass_fds=[telling], cwd=self.home, start_new_session=True)
        os.close(slave)
        os.close(telling)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.screen = b""
        self.type(f". {setup}; echo ready >&3\n")
        self.assertEqual(self.next_line(), "ready")

    def type(self, text):
        os.write(self.terminal, text.encode())

    def next_line(self):
        until, line = time.monotonic() + DEADLINE, b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self.terminal, self.told], [], [], until - time.monotonic())
            self.assertTrue(ready, f"no answer, but {self.screen.decode(errors='replace')}")
            if self.terminal in ready:
                self.screen += os.read(self.terminal, 65536)
            if self.told in ready:
                line += os.read(self.told, 65536)
        return line.decode().rstrip("\n")

    def completed(self, text):
        """The words that all completions of the last one are."""
        self.type(f"{text}\x1b*\x18\x02")
        line = self.next_line()
        kept = text[:max(text.rfind(" "), text.rfind("=")) + 1]
        self.assertTrue(line.startswith(kept), line)
        words = line[len(kept):].split()
        return sorted(words) if line != text else []

    def test_the_subcommands_are_those_of_the_help(self):
        told = [line.split()[0] for line in help_of("proctrack").splitlines()
                if line.startswith("  ") and line[2].isalpha()]
        self.assertEqual(len(told), 16)
        self.assertEqual([word for word in self.completed("proctrack ") if not word.startswith("-")],
                         sorted(told))
        self.assertEqual(self.completed("proctrack st"), ["stats", "stop"])

    def test_the_options_of_each_are_those_of_its_help(self):
        for name in ("ls", "top", "watch", "run", "stop", "doctor"):
            told = {f"--{option}" for option in options_of(help_of("proctrack", name))}
            found = {word.rstrip("=") for word in self.completed(f"proctrack {name} --")}
            self.assertEqual(found, told, name)
        self.assertEqual(self.completed("proctrack run --bl"), ["--block="])

    def test_blocks_are_those_of_the_broker(self):
        self.assertEqual(self.completed("proctrack wait "), ["build-1", "build-2", "demo"])
        self.assertEqual(self.completed("proctrack wait --timeout 3s demo bu"), ["build-1", "build-2"])
        self.assertEqual(self.completed("proctrack watch --json de"), ["demo"])
        self.assertEqual(self.completed("proctrack top bu"), ["build-1", "build-2"])
        self.assertEqual(self.completed("proctrack run --block=de"), ["demo"])
        self.assertEqual(self.completed("proctrack run -b de"), ["demo"])

    def test_they_are_not_where_they_cannot_stand(self):
        self.assertEqual(self.completed("proctrack kill demo bu"), [])
        self.assertEqual(self.completed("proctrack wait --timeout bu"), [])
        self.assertEqual(self.completed("proctrack ls bu"), [])

    def test_signals_and_events_have_their_names(self):
        self.assertEqual(self.completed("proctrack signal demo SIGHU"), ["SIGHUP"])
        self.assertEqual(self.completed("proctrack stop --signal SIGUS"), ["SIGUSR1", "SIGUSR2"])
        known = sorted(path.name.split(".")[1] for path in (ROOT / "schemas").glob("agent.*.schema.json"))
        found = self.completed("proctrack watch --event pro") + self.completed("proctrack watch --event bl")
        self.assertEqual(sorted(found), known)
        self.assertEqual(self.completed("proctrack watch -e block-added -e process-es"), ["process-escaped"])

    def test_the_orders_of_top_have_their_names(self):
        self.assertEqual(self.completed("proctrack top --order c"), ["command", "cpu"])

    def test_behind_run_stand_commands_and_files(self):
        self.assertIn("setsid", self.completed("proctrack run --block demo -- setsi"))
        pathlib.Path(self.home, "a-file-of-its-own").touch()
        self.assertEqual(self.completed("proctrack run --block demo -- cat a-file-of"), ["a-file-of-its-own"])

    def test_the_broker_is_the_one_of_the_line_and_nothing_is_said_where_there_is_none(self):
        self.shell(os.environ | {"WPS_RUNTIME_DIR": f"{self.home}/nobody"})
        said = len(self.screen)
        self.assertEqual(self.completed("proctrack wait de"), [])
        self.assertNotIn(b"proctrack ls:", self.screen[said:])
        self.assertEqual(self.completed(f"proctrack wait --runtime-dir {self.runtime} de"), ["demo"])
        self.assertEqual(self.completed(f"proctrack wait --runtime-dir={self.runtime} de"), ["demo"])


@unittest.skipUnless(shutil.which("bash"), "bash is not installed")
class Bash(Completions, BrokerTest):
    rc, start_it = BASH, ["bash", "--norc", "--noprofile", "-i"]


@unittest.skipUnless(shutil.which("zsh"), "zsh is not installed")
class Zsh(Completions, BrokerTest):
    rc, start_it = ZSH, ["zsh", "-f", "-i"]


if __name__ == "__main__":
    unittest.main()
