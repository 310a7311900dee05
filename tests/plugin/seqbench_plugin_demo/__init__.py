"""A plug-in for seqbench: one model, one generator, one claim; nothing of seqbench itself is changed."""
