# SPDX-License-Identifier: Apache-2.0
"""What the pages say of the code is what the code says: options, commands, events, the life table."""

import re
import subprocess
import unittest

import pages
from pages import BUILD, FENCE, MARK, MARKED, MODULE, PAGES, ROOT, one, table_keys


def wpsd_help():
    return subprocess.run([BUILD / "wpsd", "--help"], text=True, capture_output=True, check=True,
                          timeout=60).stdout


def rows_of(page, heading):
    return pages.rows_of((ROOT / "docs" / page).read_text(), heading)


def check_plugin(*options):
    """Exit status and what is said of the module with these options."""
    ended = subprocess.run([BUILD / "wpsd", "--check-plugin", ",".join([str(MODULE), *options])],
                           text=True, capture_output=True, timeout=60)
    return ended.returncode, ended.stderr


class Pages(unittest.TestCase):
    def test_every_marked_example_can_be_read(self):
        for page in PAGES:
            text = page.read_text()
            self.assertEqual(len(MARK.findall(text)), len(MARKED.findall(text)), page)

    def test_every_block_of_code_is_run_or_says_why_not(self):
        for page in PAGES:
            text = page.read_text()
            for fence in FENCE.finditer(text):
                before = text[:fence.start()].rstrip().splitlines()[-1]
                self.assertRegex(before, r"^<!-- (tests/docs/\w+\.py: .+|not run: .+) -->$",
                                 f"{page.name}: {fence[0]}")
            self.assertEqual(re.findall(r"\n\n {4}\S.*", FENCE.sub("", text)), [],
                             f"{page.name}: code without a fence")

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
    options = rows_of("configuration.md", "Options of the module")
    in_readme = pages.rows_of((ROOT / "README.md").read_text(), "By hand")

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

    def test_the_options_of_the_module_are_those_that_it_names(self):
        status, said = check_plugin("no-such-option=1")
        self.assertEqual(status, 3)
        known = re.search(r"there are ([a-z, -]+)", said)[1].split(", ")
        self.assertEqual(sorted(self.options), sorted(known))
        self.assertEqual(sorted(self.in_readme), sorted(known))

    def test_their_presets_are_the_same_in_both_tables_and_in_the_code(self):
        source = (ROOT / "plugin" / "options.c").read_text()
        presets = re.search(r"struct options defaults = \{(.*?)\};", source, re.S)[1]
        code = {name.replace("_", "-"): value
                for name, value in re.findall(r"\.(\w+) = (\d+)", presets)}
        for name, (preset, *_) in self.options.items():
            told = re.sub(r".*, (\d+)$", r"\1", preset.strip("`"))
            self.assertEqual(self.in_readme[name][0].strip("`"), told, name)
            if told.isdigit() and name != "feed-buffer-kib":  # that one is its feed's
                self.assertEqual(code.get(name, "0"), told, name)
        for file in ("bpf.c", "netlink.c"):
            feed = (ROOT / "trackers" / "feeds" / file).read_text()
            kib = re.search(r"_KIB_DEFAULT = (\d+) \* (\d+)", feed)
            self.assertIn(str(int(kib[1]) * int(kib[2])), self.options["feed-buffer-kib"][0], file)

    def test_they_take_the_values_that_are_told_and_no_others(self):
        for name, (preset, told) in self.options.items():
            words = [] if "-" in name and name != "on-exit" else re.findall(r"`(\w+)`", preset + told)
            for word in words:
                self.assertEqual(check_plugin(f"{name}={word}")[0], 0, f"{name}={word}")
            if words:
                self.assertEqual(check_plugin(f"{name}=other")[0], 3, name)
            if limits := re.search(r"(?:(\d+) to|up to) (\d+)", told):
                least, most = int(limits[1] or 0), int(limits[2])
                for value, right in ((least, True), (most, True), (least - 1, False),
                                     (most + 1, False)):
                    status, said = check_plugin(f"{name}={value}")
                    self.assertEqual(status, 0 if right else 3, f"{name}={value}: {said}")

    def test_the_trackers_and_feeds_are_those_of_the_build(self):
        page = rows_of("configuration.md", "Options of the module")
        for option, file in (("tracker", "tracker.c"), ("feed", "feed.c")):
            source = (ROOT / "trackers" / file).read_text()
            names = re.search(r"names\[\] = \{(.*?)NULL\}", source, re.S)[1]
            self.assertEqual(re.findall(r"`(\w+)`", page[option][1]), re.findall(r'"(\w+)"', names))
            works = rows_of("how-it-works.md", option.capitalize() + "s")
            self.assertEqual(list(works), re.findall(r'"(\w+)"', names))


class Run(unittest.TestCase):
    page = (ROOT / "docs" / "run.md").read_text()

    def test_its_statuses_and_variables_are_those_of_the_help(self):
        told = subprocess.run([BUILD / "proctrack", "run", "--help"], text=True, capture_output=True,
                              check=True, timeout=60).stdout
        for status in re.findall(r"^\| (\d+) \|", self.page, re.M):
            self.assertRegex(told, rf"\b{status}\b")
        for name in re.findall(r"^\| `([A-Z_]+)` \|", self.page, re.M):
            self.assertIn(name, told)

    def test_the_functions_it_names_are_in_the_header(self):
        header = (ROOT / "client" / "birth.h").read_text()
        names = re.findall(r"^\| `(proctrack_birth_\w+)` \|", self.page, re.M)
        self.assertGreaterEqual(len(names), 3)
        for name in names:
            self.assertRegex(header, rf"\b{name}\(")


class Command(unittest.TestCase):
    def told(self):
        return subprocess.run([BUILD / "proctrack", "--help"], text=True, capture_output=True, check=True,
                              timeout=60).stdout

    def test_its_subcommands_are_those_of_the_help(self):
        page = {name: re.sub(r" \(\[.*", "", says) for name, (says, *_) in
                pages.rows_of((ROOT / "docs" / "command.md").read_text(), "The subcommands").items()}
        self.assertEqual(page, dict(re.findall(r"^  (\w+) +(\S.*)$", self.told(), re.M)))

    def test_its_exit_statuses_are_those_of_the_help(self):
        page = (ROOT / "docs" / "command.md").read_text()
        told = " ".join(self.told().split("Exit status:")[1].split())
        self.assertEqual(re.findall(r"^\| (\d) \|", page, re.M), re.findall(r"(?:^|; )(\d) ", told))


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
