# SPDX-License-Identifier: Apache-2.0
"""A C project from Debian's sources, to be built under the tracker. The lists of the system are left
alone: apt gets its own, which go away with the folder."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess

PACKAGE = "lua5.4"  # some seconds of gcc, and no configure
BUILD = ["make", "-j2", "-C", "src"]
_CLEAN = ["make", "-C", "src", "clean"]
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_TARGET = "$(REPO_URI)|$(CODENAME)|$(COMPONENT)|$(CREATED_BY)|$(SIGNED_BY)"


class NotThere(Exception):
    """The sources cannot be had; says why."""


def fetch(folder: pathlib.Path) -> pathlib.Path:
    """The unpacked tree."""
    if shutil.which("apt-get") is None:
        raise NotThere("no apt-get here, so no Debian source")
    (folder / "lists" / "partial").mkdir(parents=True)
    list_file = folder / "sources.list"
    list_file.write_text(_source_line(_release(), _targets(folder)))
    settings = {"Dir::Etc::SourceList": list_file, "Dir::Etc::SourceParts": "/dev/null",
                "Dir::State::Lists": folder / "lists", "APT::Sandbox::User": "root",
                "Acquire::http::Timeout": 10, "Acquire::Retries": 1}
    apt = ["apt-get", "-q", *(word for key, value in settings.items()
                              for word in ("-o", f"{key}={value}"))]
    for command in (["update"], ["source", "--download-only", PACKAGE]):
        _run([*apt, *command], folder)
    archives = list(folder.glob("*.orig.tar.*"))
    if len(archives) != 1:
        raise NotThere(f"the source of {PACKAGE} is not one archive")
    tree = folder / "tree"
    tree.mkdir()
    subprocess.run(["tar", "xf", archives[0], "-C", tree, "--strip-components=1"], check=True)
    return tree


def _targets(folder: pathlib.Path) -> str:
    """What the system's own lists name, a line each."""
    return _run(["apt-get", "indextargets", "--format", _TARGET], folder)


def _source_line(release: str, targets: str) -> str:
    """The sources are where the system has its packages from."""
    for target in targets.splitlines():
        if target.count("|") != 4:  # more of a key that is in the list itself
            continue
        uri, codename, component, created_by, signed_by = target.split("|")
        if (codename, component, created_by) != (release, "main", "Packages"):
            continue
        if not signed_by.startswith("/"):  # apt prints what is not set as it was asked for
            signed_by = KEYRING if pathlib.Path(KEYRING).exists() else ""
        options = f"[signed-by={signed_by}] " if signed_by else ""
        return f"deb-src {options}{uri} {release} main\n"
    raise NotThere(f"no list of Debian packages of {release} is set up for apt-get")


def _run(command: list[str], folder: pathlib.Path) -> str:
    """What it printed."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=90)
    except subprocess.TimeoutExpired:
        raise NotThere(f"`{command[-1]}` of apt-get failed: no answer in 90 s") from None
    if done.returncode != 0:
        raise NotThere(f"`{command[-1]}` of apt-get failed: {done.stderr.strip()[-200:]}")
    return done.stdout


def _release() -> str:
    text = pathlib.Path("/etc/os-release").read_text()
    found = re.search(r"^VERSION_CODENAME=(\w+)", text, re.M)
    if not re.search(r"^ID=debian", text, re.M) or not found:
        raise NotThere("this is not a Debian release")
    return found[1]


def clean(tree: pathlib.Path) -> None:
    subprocess.run(_CLEAN, cwd=tree, check=True, capture_output=True)
