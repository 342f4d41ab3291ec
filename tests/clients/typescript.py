#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The TypeScript client, built and tested in a directory of the build: the source tree stays clean.

usage: typescript.py BUILD

The packages that it needs come from the npm registry, once. Where they, node or npm cannot be had,
it is skipped with the reason. Programs that pages show are compiled along, in `examples/`.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients" / "typescript"
FILES = ("package.json", "package-lock.json", ".npmrc", "tsconfig.json", "README.md")
FOLDERS = ("src", "tools", "tests")
#: Programs in pages, by the name of the file that is made of each.
SHOWN = {"readme": PACKAGE / "README.md", "embedding": ROOT / "docs" / "embedding.md"}
NODE_LEAST = (18, 17)
#: What is wrong with the package itself; all else that npm says is of the machine.
OUR_FAULTS = ("EUSAGE", "EINTEGRITY", "EJSONPARSE")
INSTALL_SECONDS = 180


class Unavailable(Exception):
    """It cannot be tested here, for this reason."""


def prepare(build: pathlib.Path) -> pathlib.Path:
    """The directory where it stands built. Nothing is done where nothing changed."""
    check_node()
    work = build / "clients-typescript"
    work.mkdir(exist_ok=True)
    with locked(work / ".lock"):
        copied = sources()
        if changed(work / ".installed", *(copied[name] for name in FILES[:3])):
            copy(copied, work)
            install(work)
            note(work / ".installed", *(copied[name] for name in FILES[:3]))
        if changed(work / ".built", *copied.values()):
            copy(copied, work)
            compile_all(work)
            note(work / ".built", *copied.values())
    return work


def check_node() -> None:
    for command in ("node", "npm"):
        if not shutil.which(command):
            raise Unavailable(f"{command} is not installed")
    version = subprocess.run(["node", "--version"], text=True, capture_output=True, check=True).stdout
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if numbers < NODE_LEAST:
        raise Unavailable(f"node is {version.strip()}: it takes {NODE_LEAST[0]}.{NODE_LEAST[1]}")


@contextlib.contextmanager
def locked(path: pathlib.Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sources() -> dict[str, bytes]:
    """Everything that it is built from, by its place in the directory."""
    found = {name: (PACKAGE / name).read_bytes() for name in FILES}
    for folder in FOLDERS:
        for path in sorted((PACKAGE / folder).glob("*.ts")):
            found[f"{folder}/{path.name}"] = path.read_bytes()
    for name, page in SHOWN.items():
        program = re.search(r"^```typescript\n(.*?)^```$", page.read_text(), re.M | re.S)
        if program:
            found[f"examples/{name}.ts"] = program[1].encode()
    return found


def digest(*contents: bytes) -> str:
    parts = [hashlib.sha256(content).hexdigest() for content in contents]
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def changed(stamp: pathlib.Path, *contents: bytes) -> bool:
    return not stamp.exists() or stamp.read_text() != digest(*contents)


def note(stamp: pathlib.Path, *contents: bytes) -> None:
    stamp.write_text(digest(*contents))


def copy(copied: dict[str, bytes], work: pathlib.Path) -> None:
    for name in (*FOLDERS, "examples", "dist"):
        shutil.rmtree(work / name, ignore_errors=True)
    for name, content in copied.items():
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_bytes(content)


def install(work: pathlib.Path) -> None:
    # Without scripts: where zeromq has nothing built for a machine, its own would fetch and compile.
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
               "--fetch-retries=1", "--fetch-timeout=20000"]
    try:
        ended = subprocess.run(command, cwd=work, text=True, capture_output=True,
                               stdin=subprocess.DEVNULL, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm has no packages after {INSTALL_SECONDS} s") from None
    if ended.returncode != 0:
        code = re.search(r"^npm (?:ERR!|error) code (\w+)", ended.stderr, re.M)
        if code is None or code[1] in OUR_FAULTS:
            raise SystemExit(f"npm ci: {ended.stderr}")
        raise Unavailable(f"npm cannot get the packages: {code[1]}")
    ended = subprocess.run(["node", "-e", "require('zeromq')"], cwd=work, text=True,
                           capture_output=True)
    if ended.returncode != 0:
        raise Unavailable("the zeromq of npm has nothing built for this machine")


def compile_all(work: pathlib.Path) -> None:
    ended = subprocess.run(["node", "node_modules/typescript/bin/tsc"], cwd=work, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if ended.returncode != 0:
        raise SystemExit(f"tsc: {ended.stdout}")


def test(work: pathlib.Path) -> int:
    """Runs the tests; ends with the line that scripts/count-tests reads."""
    files = sorted(str(path.relative_to(work)) for path in (work / "dist/tests").glob("*.test.js"))
    command = ["node", "--test", "--test-reporter=spec", *files]
    ended = subprocess.run(command, cwd=work, text=True, stdout=subprocess.PIPE,
                           env=os.environ | {"PROCTRACK_SOURCES": str(ROOT)})
    print(ended.stdout)
    counts = {key: int(number) for key, number
              in re.findall(r"^\S+ (pass|fail|cancelled|skipped) (\d+)$", ended.stdout, re.M)}
    failed = counts.get("fail", 0) + counts.get("cancelled", 0)
    for case in dict.fromkeys(re.findall(r"^ *✖ (.*?) \([\d.]+ms\)$", ended.stdout, re.M)):
        print(f"FAILED  clients.typescript: {case}")
    for case, reason in re.findall(r"^ *﹣ (.*?) \([\d.]+ms\) # (.*)$", ended.stdout, re.M):
        print(f"skipped clients.typescript: {case}: {reason}")
    print(f"{counts.get('pass', 0)} passed, {failed} failed, {counts.get('skipped', 0)} skipped")
    return ended.returncode


def main() -> int:
    try:
        work = prepare(pathlib.Path(sys.argv[1]))
    except Unavailable as why:
        print(f"skipped clients.typescript: {why}\n0 passed, 0 failed, 1 skipped")
        return 0
    return test(work)


if __name__ == "__main__":
    sys.exit(main())
