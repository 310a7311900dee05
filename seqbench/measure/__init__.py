"""Measuring: everything that needs torch. It writes records and knows nothing of how they are judged."""
