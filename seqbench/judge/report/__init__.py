"""Reports: verdicts and figures as one page, as files for papers, and as rows for a terminal."""
