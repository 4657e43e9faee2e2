"""One network, watched and corrected by hand, with a journal of what was done."""
