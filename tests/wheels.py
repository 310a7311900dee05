"""Environments with nothing but wheels in them, for tests of what is installed."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def environment(folder, *projects):
    """Build the wheels of these projects, install them alone into a fresh environment, and return its `bin` folder.

    The environment borrows the libraries of this one, so that nothing is fetched.
    """
    for project in projects:
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(project)]
        subprocess.run(build, check=True, capture_output=True)
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    wheels = [str(path) for path in sorted(folder.glob("*.whl"))]
    install = [str(python), "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", *wheels]
    subprocess.run(install, check=True, capture_output=True)
    purelib = subprocess.check_output(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    Path(purelib.strip(), "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "env" / "bin"
