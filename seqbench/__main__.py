"""`python -m seqbench` is the `seqbench` command."""

from seqbench.cli import main

if __name__ == "__main__":
    main()
