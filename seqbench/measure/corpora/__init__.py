"""Texts: Chronicle, whose entropy is known exactly, and real text, with count models to anchor it."""
