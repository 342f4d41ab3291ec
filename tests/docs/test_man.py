# SPDX-License-Identifier: Apache-2.0
"""The manual pages say what `--help` says: every subcommand, option, preset and exit status, and no others."""

import re
import shutil
import subprocess
import unittest

from pages import BUILD, ROOT

MAN = ROOT / "docs" / "man"

#: A line of help that begins an option, and what it has: its letter, its name, what it takes, the rest.
HELP_OPTION = re.compile(r"^ {2,6}(?:-(\w), )?--([a-z-]+)(=\S+)?(?: +(.*))?$")


def help_of(program, *words):
    return subprocess.run([BUILD / program, *words, "--help"], text=True, capture_output=True, check=True,
                          timeout=60).stdout


def options_of(told):
    """Those of a help: whether each takes a value and its letter, by its name."""
    found = filter(None, map(HELP_OPTION.match, told.splitlines()))
    return {name: (letter, bool(value)) for letter, name, value, _ in (match.groups() for match in found)}


def statuses_of(text):
    return re.findall(r"(?:^|[,;] |or )(\d+) ", " ".join(text.split("Exit status:")[1].split("\n\n")[0].split()))


class Page:
    """The source of a manual page."""

    def __init__(self, name):
        self.path = MAN / name
        self.text = self.path.read_text()

    def section(self, name):
        return re.split(r"^\.Sh ", self.text.split(f"\n.Sh {name}\n", 1)[1], flags=re.M)[0]

    def commands(self):
        """The text of each subsection by the name of its subcommand."""
        parts = re.split(r"^\.Ss (\w+).*\n", self.section("COMMANDS"), flags=re.M)[1:]
        found = {}
        for name, text in zip(parts[::2], parts[1::2]):
            found[name] = found.get(name, "") + text
        return found

    @staticmethod
    def options(text):
        """As options_of() has them."""
        found = {}
        for line in re.findall(r"^\.It Fl (.*)$", text, re.M):
            match = re.fullmatch(r"(?:(\w) , Fl )?-([a-z-]+)( Ns = Ns .+)?", line)
            found[match[2]] = (match[1], bool(match[3]))
        return found

    @staticmethod
    def statuses(text):
        return re.findall(r"^\.It (\d+)$", text, re.M)


def differing_presets(told, text):
    """The options whose preset in the help is another one in the page; and how many have any."""
    items = dict(re.findall(r"^\.It Fl (?:\w , Fl )?-([a-z-]+).*\n((?:(?!\.It|\.El).*\n)+)", text, re.M))
    presets = {name: re.search(r"\(([\w ]+)\)$", says or "")
               for _, name, _, says in (match.groups() for match in
                                        filter(None, map(HELP_OPTION.match, told.splitlines())))}
    presets = {name: preset[1] for name, preset in presets.items() if preset}
    return [name for name, preset in presets.items()
            if not re.search(rf"The preset is\s+(?:the one |\.\w\w )?{preset}\b", items[name])], len(presets)


class Proctrack(unittest.TestCase):
    page = Page("proctrack.1")

    def test_its_subcommands_are_those_of_the_help_in_their_order(self):
        self.assertEqual(list(self.page.commands()),
                         re.findall(r"^  ([a-z]+) +\S", help_of("proctrack"), re.M))

    def test_each_has_the_options_of_its_help(self):
        of_all = self.page.options(self.page.section("DESCRIPTION"))
        for name, text in self.page.commands().items():
            known = of_all | self.page.options(text)
            if name == "run":
                del known["json"]
            self.assertEqual(known, options_of(help_of("proctrack", name)), name)

    def test_their_presets_are_those_of_the_help(self):
        of_all, seen = self.page.section("DESCRIPTION"), 0
        for name, text in self.page.commands().items():
            wrong, n = differing_presets(help_of("proctrack", name), of_all + text)
            self.assertEqual(wrong, [], name)
            seen += n
        self.assertGreater(seen, 15)

    def test_each_takes_the_words_that_its_help_shows(self):
        for name in self.page.commands():
            told = re.findall(rf"^(?:usage:|      ) proctrack {name} (.*)$", help_of("proctrack", name), re.M)
            shown = re.findall(rf"^\.Ss {name} (.*)$", self.page.section("COMMANDS"), re.M)
            self.assertEqual(len(told), len(shown), name)
            for line, macros in zip(told, shown):
                words = {word.lower() for word in re.findall(r"[A-Z]{2,}", line)}
                self.assertEqual(words, set(re.findall(r"\b[a-z]{2,}\b", re.sub(r"-\w+", "", macros))), name)

    def test_its_exit_statuses_are_those_of_the_help(self):
        plain, of_run = self.page.section("EXIT STATUS").split(".Cm run\n")
        self.assertEqual(self.page.statuses(plain), statuses_of(help_of("proctrack")))
        self.assertEqual(self.page.statuses(of_run), statuses_of(help_of("proctrack", "run")))

    def test_its_events_are_those_that_have_a_schema(self):
        known = {path.name.split(".")[1] for path in (ROOT / "schemas").glob("agent.*.schema.json")}
        told = set(re.findall(r"\b(?:process|block)-[a-z]+", self.page.commands()["watch"]))
        self.assertEqual(told, known)

    def test_its_examples_use_options_that_there_are(self):
        lines = re.findall(r"proctrack (\w+)([^|&\n]*)", self.page.section("EXAMPLES"))
        self.assertGreaterEqual(len(lines), 6)
        for name, words in lines:
            used = re.findall(r"--([a-z-]+)", words.split(" -- ")[0])
            self.assertEqual(set(used) - set(options_of(help_of("proctrack", name))), set(), name)


class Wpsd(unittest.TestCase):
    page = Page("wpsd.8")
    told = help_of("wpsd")

    def test_its_options_are_those_of_the_help(self):
        described = self.page.section("DESCRIPTION")
        self.assertEqual(self.page.options(described), options_of(self.told))

    def test_their_presets_are_those_of_the_help(self):
        wrong, n = differing_presets(self.told, self.page.section("DESCRIPTION"))
        self.assertEqual(wrong, [])
        self.assertGreater(n, 15)

    def test_its_exit_statuses_and_signals_are_those_of_the_help(self):
        self.assertEqual(self.page.statuses(self.page.section("EXIT STATUS")), statuses_of(self.told))
        self.assertEqual(set(re.findall(r"\bSIG\w+", self.page.section("SIGNALS"))),
                         set(re.findall(r"\bSIG\w+", self.told)))


class Library(unittest.TestCase):
    page = Page("libproctrack.3")

    def test_it_lists_the_functions_of_each_header_and_no_others(self):
        told = set(re.findall(r"^\.Fn (proctrack_\w+)", self.page.section("DESCRIPTION"), re.M))
        headers = "".join(path.read_text() for path in (BUILD / "include" / "proctrack").iterdir())
        made = set(re.findall(r"^static inline struct proctrack_field (proctrack_\w+)\(", headers, re.M))
        self.assertEqual(told - made, set(re.findall(r"^PROCTRACK_API[^;]*?\b(proctrack_\w+)\(", headers, re.M)))


@unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
class Form(unittest.TestCase):
    def test_mandoc_has_nothing_to_warn_of(self):
        for path in sorted(MAN.iterdir()):
            ended = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", path], text=True,
                                   capture_output=True, timeout=60)
            self.assertEqual((ended.returncode, ended.stdout), (0, ""), path.name)


if __name__ == "__main__":
    unittest.main()
