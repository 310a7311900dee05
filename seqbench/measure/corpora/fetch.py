"""Download a text of the catalogue, once; every file is checked against its sha256."""

import logging
from pathlib import Path

import pooch

from seqbench.corpus import cache_folder, known_corpus, locate
from seqbench.errors import CorpusError


def fetch(name: str, *, base_url: str | None = None) -> Path:
    """Download what is missing or altered of a known text, and return where its copy lies.

    base_url: where to download from in place of the source of the catalogue.
    Raises UnknownName for a name the catalogue lacks, CorpusError when a file cannot be had as it should be.
    """
    known = known_corpus(name)
    source = base_url or known.base_url
    pooch.get_logger().setLevel(logging.WARNING)  # one line per file is no news
    cupboard = pooch.create(
        path=cache_folder() / name,
        base_url=source,
        registry={file.name: f"sha256:{file.sha256}" for file in known.files},
        urls={file.name: source + file.remote for file in known.files},
    )
    whole = pooch.HTTPDownloader(stream=False)  # small files; a refused page read whole leaves no socket open
    for file in known.files:
        try:
            cupboard.fetch(file.name, downloader=whole)
        except ValueError as error:  # pooch's word for a wrong hash
            raise CorpusError(
                f"{file.name} of {name} from {source} is not the file known here (sha256 {file.sha256}); "
                "give your own text: seqbench run --corpus PATH"
            ) from error
        except OSError as error:  # no network, no such server, no such page
            raise CorpusError(
                f"{file.name} of {name} cannot be downloaded from {source}; "
                "try again online, or give your own text: seqbench run --corpus PATH"
            ) from error
    return locate(name)
