"""A report as an RO-Crate 1.2: what the files are, their hashes, and from which study they were made.

Sefton, P., O Carragain, E., Soiland-Reyes, S. et al.: RO-Crate Metadata Specification 1.2; the CreateAction follows
the profile Process Run Crate 0.5.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from seqbench.errors import StoreError
from seqbench.judge.report.build import Report

NAME = "ro-crate-metadata.json"
SPECIFICATION = "https://w3id.org/ro/crate/1.2"
PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
TYPES = {
    ".html": "text/html",
    ".json": "application/json",
    ".csv": "text/csv",
    ".svg": "image/svg+xml",
    ".md": "text/markdown",
    ".tex": "text/x-tex",
    ".bib": "text/x-bibtex",
    ".cff": "text/yaml",
}


def write(report: Report, out: Path) -> Path:
    """Write ro-crate-metadata.json beside a report that has been written, and return it.

    Raises StoreError when no record is there to date it, or when the folder cannot be read or written.
    """
    if not report.provenance["last_finished"]:
        raise StoreError("no cell has a record yet, so there is nothing to date an RO-Crate by; run the study first")
    try:
        paths = sorted(path for path in out.rglob("*") if path.is_file() and path.name != NAME)
        found = [_file(path, out) for path in paths]
        (out / NAME).write_bytes(metadata(report, found).encode())
    except OSError as error:
        raise StoreError(f"{out} cannot be written ({error.strerror}); give another --out") from error
    return out / NAME


def metadata(report: Report, found: list[dict[str, Any]]) -> str:
    """Return the JSON-LD of a report with these files."""
    done, parts = report.provenance["last_finished"], [{"@id": item["@id"]} for item in found]
    version = report.provenance["rendered_with"]["seqbench"]
    graph = [
        {
            "@id": NAME,
            "@type": "CreativeWork",
            "about": {"@id": "./"},
            "conformsTo": {"@id": SPECIFICATION},
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "conformsTo": {"@id": PROFILE},
            "name": f"seqbench report: {report.title}",
            "description": "Verdicts, figures and data, judged from the records of one study.",
            "datePublished": done[:10],
            "license": "None stated: whoever publishes this report states it.",
            "identifier": report.id,
            "hasPart": parts,
            "mentions": {"@id": "#judging"},
        },
        {
            "@id": "#judging",
            "@type": "CreateAction",
            "name": "Judging the records of the study",
            "instrument": {"@id": "#seqbench"},
            "object": [{"@id": "#study"}, {"@id": "#records"}],
            "result": parts,
            "endTime": done,
        },
        {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        {"@id": "#seqbench", "@type": "SoftwareApplication", "name": "seqbench", "softwareVersion": version},
        {
            "@id": "#study",
            "@type": "CreativeWork",
            "name": "study.json",
            "description": f"suite {report.provenance['suite']}",
            "identifier": f"pre-registration sha256 {report.provenance['preregistration_sha256']}",
        },
        {
            "@id": "#records",
            "@type": "Dataset",
            "name": "the study folder",
            "description": f"{report.provenance['records']} records, whose contents enter the report id",
        },
        *found,
    ]
    return json.dumps({"@context": f"{SPECIFICATION}/context", "@graph": graph}, indent=1, ensure_ascii=False) + "\n"


def _file(path: Path, out: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {
        "@id": path.relative_to(out).as_posix(),
        "@type": "File",
        "name": path.name,
        "encodingFormat": TYPES.get(path.suffix, "application/octet-stream"),
        "contentSize": str(len(content)),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
