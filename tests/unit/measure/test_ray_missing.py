"""Where Ray is not installed, asking for it is one line that says what to install."""

import subprocess
import sys

BLOCKED = """
import sys
sys.modules["ray"] = None  # as if it were not installed
sys.argv = ["seqbench", "run", "--suite", "smoke", "--executor", "ray", "--results", "R"]
from seqbench.cli import main
main()
"""


def test_without_ray_the_line_says_what_to_install(tmp_path):
    """Exit code 2, no traceback, nothing written."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=100
    )
    expected = "seqbench: --executor ray needs Ray, which is not installed; run: pip install 'seqbench[ray]'\n"
    assert (done.returncode, done.stderr) == (2, expected)
    assert not (tmp_path / "R").exists()


def test_an_address_without_a_cluster_is_refused(tmp_path):
    """The pool knows of no cluster, so an address for it is a mistake."""
    command = [sys.executable, "-m", "seqbench", "run", "--suite", "smoke", "--results", "R", "--address", "auto"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False, timeout=100)
    expected = "seqbench: --address names a cluster, of which --executor pool knows nothing; leave it out\n"
    assert (done.returncode, done.stderr) == (2, expected)
