"""Judging: from records to verdicts and reports. It never imports torch."""
