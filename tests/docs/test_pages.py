# SPDX-License-Identifier: Apache-2.0
"""What the pages say of the code is what the code says: options, commands, events, the life table."""

import re
import subprocess
import unittest

from pages import MARK, MARKED, PAGES, ROOT, BUILD, one, table_keys


def wpsd_help():
    return subprocess.run([BUILD / "wpsd", "--help"], text=True, capture_output=True, check=True,
                          timeout=60).stdout


def rows_of(page, heading):
    text = (ROOT / "docs" / page).read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()
            if line.startswith("| `")]
    return {row[0].strip("`"): row[1:] for row in rows}


class Pages(unittest.TestCase):
    def test_every_marked_example_can_be_read(self):
        for page in PAGES:
            text = page.read_text()
            self.assertEqual(len(MARK.findall(text)), len(MARKED.findall(text)), page)

    def test_every_link_between_pages_leads_somewhere(self):
        for page in PAGES:
            for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_every_path_named_in_a_page_is_there(self):
        for page in PAGES:
            for path in re.findall(r"`((?:base|broker_shim|client|docs|examples|plugin|schemas|scripts|tests|"
                                   r"trackers)/[\w./-]+)`", page.read_text()):
                if "NAME" not in path:
                    self.assertTrue((ROOT / path).exists(), f"{page.name}: {path}")


class Configuration(unittest.TestCase):
    def test_the_options_of_wpsd_are_those_of_its_help_with_their_presets(self):
        first, options = wpsd_help().split("Options, with their presets")
        told = dict(re.findall(r"^  --([a-z-]+)=\S+ +[^\n]*?(?:\(([^()\n]+)\))?$", options, re.M))
        page = rows_of("configuration.md", "Options of wpsd")
        self.assertEqual(list(page), list(told))
        for name, preset in told.items():
            if preset and name not in ("allow-others",):
                self.assertEqual(page[name][0], f"`{preset}`", name)
        self.assertEqual(table_keys("configuration.md", "What wpsd is to do"),
                         ["--plugin", "--optional-plugin", "--check-plugin", "--config", "--help",
                          "--version"])
        for name in re.findall(r"^  (--[a-z-]+)", first, re.M):
            self.assertIn(name, table_keys("configuration.md", "What wpsd is to do"))

    def test_the_exit_statuses_are_those_of_the_help(self):
        text = " ".join(wpsd_help().split("Exit status:")[1].split())
        page = (ROOT / "docs" / "configuration.md").read_text()
        table = re.findall(r"^\| (\d+) \| (.*?) \|$", page, re.M)
        self.assertEqual([number for number, _ in table], re.findall(r"(?:^|; )(\d+) ", text))

    def test_the_options_of_the_module_are_those_of_its_table(self):
        source = (ROOT / "plugin" / "options.c").read_text()
        rows = source.split("static const struct row rows[] = {", 1)[1].split("};", 1)[0]
        known = re.findall(r'^\s*\{"([a-z-]+)"', rows, re.M)
        self.assertEqual(sorted(rows_of("configuration.md", "Options of the module")), sorted(known))
        for name, kind, least, most in re.findall(
                r'\{"([a-z-]+)", (NUMBER), [^}]*?\.min = (\d+), \.max = (\d+)\}', rows):
            told = " ".join(rows_of("configuration.md", "Options of the module")[name])
            if re.search(r"\d+ to \d+", told):
                self.assertIn(f"{least} to {most}", told, name)

    def test_the_trackers_and_feeds_are_those_of_the_build(self):
        page = rows_of("configuration.md", "Options of the module")
        for option, file in (("tracker", "tracker.c"), ("feed", "feed.c")):
            source = (ROOT / "trackers" / file).read_text()
            names = re.search(r"names\[\] = \{(.*?)NULL\}", source, re.S)[1]
            self.assertEqual(re.findall(r"`(\w+)`", page[option][1]), re.findall(r'"(\w+)"', names))
            works = rows_of("how-it-works.md", option.capitalize() + "s")
            self.assertEqual(list(works), re.findall(r'"(\w+)"', names))


class Protocol(unittest.TestCase):
    page = (ROOT / "docs" / "protocol.md").read_text()

    def schemas(self, pattern):
        return {re.fullmatch(pattern, path.name)[1] for path in (ROOT / "schemas").iterdir()
                if re.fullmatch(pattern, path.name)}

    def test_every_event_has_an_example(self):
        shown = set(re.findall(r'"event": "agent:([a-z-]+)"', self.page))
        self.assertEqual(shown, self.schemas(r"agent\.([a-z-]+)\.schema\.json"))

    def test_every_command_has_an_example(self):
        shown = set(re.findall(r'^> \{"command": "(\w+)"', self.page, re.M))
        self.assertEqual(shown, self.schemas(r"(?:control|rpc)\.(\w+)\.request\.schema\.json"))

    def test_every_errorcode_is_named(self):
        names = re.search(r"The codes are (.*?)\. Below", self.page, re.S)[1]
        source = (ROOT / "schemas" / "definitions.schema.json").read_text()
        for code in re.findall(r"`(\w+)`", names):
            self.assertIn(f'"{code}"', source)


def life_table():
    """The table of trackers/life.c as the page shows it: one line a cell."""
    source = (ROOT / "trackers" / "life.c").read_text()
    words = {"LIFE_ARM": "arm", "ASK": "ask", "ADD": "added", "TAKE": "take", "RENEW": "exec",
             "END": "exited", "ESCAPE": "escaped", "FORGET": "forget", "LIFE_CHANGE": "changed"}
    lines, state = [], ""
    for name, given, to, actions in re.findall(
            r"^    \[LIFE_(\w+)\] = \{$|^        \[LIFE_(\w+)\] *= TO\((\w+), ([^)]*)\)", source, re.M):
        if name:
            state = name.lower()
            continue
        done = ", ".join(words[word] for word in actions.split(" | ") if word != "0")
        given = given.lower().replace("_", "-")
        lines.append(f"{state:10} {given:11} -> {to.lower():10} {done}".rstrip())
    return "\n".join(lines) + "\n"


class Life(unittest.TestCase):
    def test_the_life_table_is_that_of_the_code(self):
        self.assertEqual(one("life", "how-it-works.md", "table"), life_table(),
                         "put this into docs/how-it-works.md:\n" + life_table())

    def test_the_picture_names_every_state(self):
        picture = (ROOT / "docs" / "how-it-works.md").read_text().split("## The life of", 1)[1]
        picture = picture.split("```", 2)[1]
        for state in set(line.split()[0] for line in life_table().splitlines()):
            self.assertIn(state, picture)


if __name__ == "__main__":
    unittest.main()
