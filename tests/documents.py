"""The code blocks of the project's documents: which there are, how they are marked, and how those marked `run` are run.

A block says what it is in its first line, as ```sh run. Marked `run`, it is executed by a test; marked `parse`, because
it is long or needs a cluster, a network or Docker, it is only read: its command lines by the program's own parser.
`text` is no code, and neither is a picture drawn with lines.
"""

import contextlib
import doctest
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MARKED = {f"{language} {mark}" for language in ("sh", "python", "pycon", "toml") for mark in ("run", "parse")}
PARSED_ALONE = {"latex parse"}
"""What no test runs."""
END_OF_COMMAND = set("();<>|&")


@dataclass(frozen=True)
class Block:
    """A block of code: the document it stands in, the line where it begins, what it says it is, and its text."""

    path: Path
    line: int
    info: str
    text: str

    @property
    def place(self):
        """Where it stands, as README.md:12."""
        return f"{self.path.relative_to(ROOT)}:{self.line}"

    @property
    def language(self):
        return self.info.partition(" ")[0]

    @property
    def runs(self):
        return self.info.endswith(" run")

    @property
    def file(self):
        """The name of the file that it is, where its first line is a comment with nothing but one; else nothing."""
        named = re.match(r"# ([\w/-]+\.\w+)\n", self.text)
        return named[1] if named else ""


def blocks(path):
    """Return the blocks of code of a document, in its order."""
    tokens = MarkdownIt("commonmark").parse(path.read_text(encoding="utf-8"))
    found = [
        Block(path, token.map[0] + 1, token.info.strip(), token.content)
        for token in tokens
        if token.type in ("fence", "code_block")
    ]
    return [block for block in found if block.language != "text" and not (set("─▶") & set(block.text))]


def commands(block):
    """Return the commands of a block for the shell, each as its words; what follows a bar or an `and` is another."""
    found = []
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = [[]]
        for word in lexer:
            if set(word) <= END_OF_COMMAND:
                words.append([])
            else:
                words[-1].append(word)
        found += [command for command in words if command]
    return found


def of_seqbench(command):
    """Return the words that seqbench gets of a command, its own or that of a container or a cluster; else None."""
    if "seqbench" not in command or command[:2] == ["docker", "build"]:
        return None
    return command[command.index("seqbench") + 1 :]


def run(path, folder):
    """Run the blocks of a document marked `run` in a folder, in their order; those that name a file are written there.

    Python goes on in one namespace from block to block, the shell begins anew with each. A block that fails is named.
    """
    namespace = {"__name__": "__main__"}
    for block in blocks(path):
        if not block.runs:
            continue
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "sh":
            in_the_shell(block, folder)
        elif block.language != "toml":  # a whole suite without a name is planned where documents are read
            with contextlib.chdir(folder):
                (as_python if block.language == "python" else as_session)(block, namespace)


def in_the_shell(block, folder):
    """Run a block as a script that ends where a command fails; `seqbench` is this checkout's."""
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    (programs / "seqbench").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m seqbench "$@"\n')
    (programs / "seqbench").chmod(0o755)
    script = programs / "block.sh"
    script.write_text(block.text, encoding="utf-8")
    paths = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": paths, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, f"{block.place}\n{done.stdout}{done.stderr}"


def as_python(block, namespace):
    """Execute a block as it stands; what it raises names the document and its line."""
    code = compile("\n" * block.line + block.text, str(block.path), "exec")
    exec(code, namespace)  # noqa: S102 - the document's own code


def as_session(block, namespace):
    """Execute the lines of an interactive session, each of which must print what stands below it."""
    session = doctest.DocTestParser().get_doctest(block.text, namespace, block.place, str(block.path), block.line)
    told = []
    failed, _ = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(session, out=told.append, clear_globs=False)
    namespace |= session.globs
    assert failed == 0, "".join(told)
