"""The errors a user can meet; each says what was given, what was expected and what to do.

SeqbenchError                 exit code 1
├── UsageError                exit code 2: the request itself cannot be met
│   ├── UnknownName           a name that no registry knows
│   ├── InvalidInput          a card, suite, cell or option with missing, unknown or impossible entries
│   └── CorpusError           a text that cannot be read, found or used
├── CheckpointError           a saved model that is damaged, incomplete or not what it was
├── ContractError             a model, generator, probe, claim or figure that lacks its contract
└── StoreError                the study folder cannot be read or written as asked
    ├── CorruptRecord         a file that is not a record of this schema
    ├── StudyMismatch         the folder holds another study than the one asked for
    └── StudyLocked           another process is writing into the folder
"""


class SeqbenchError(Exception):
    """Root of the tree: everything seqbench raises on purpose."""

    exit_code = 1


class UsageError(SeqbenchError):
    """The request cannot be met as it was made."""

    exit_code = 2


class UnknownName(UsageError):
    """A name that no registry knows; the text names the nearest one."""


class InvalidInput(UsageError):
    """A card, suite, cell or option that is not what its schema says; all problems at once."""


class CorpusError(UsageError):
    """A text that cannot be read, found or used."""


class CheckpointError(SeqbenchError):
    """A saved model that is damaged, incomplete, or not what it was when it was saved."""


class ContractError(SeqbenchError):
    """An extension that does not keep the contract of its kind."""


class StoreError(SeqbenchError):
    """The study folder cannot be read or written as asked."""


class CorruptRecord(StoreError):
    """A file that is not a record of a known schema."""


class StudyMismatch(StoreError):
    """The folder holds another study than the one asked for."""


class StudyLocked(StoreError):
    """Another process is writing into the folder."""
