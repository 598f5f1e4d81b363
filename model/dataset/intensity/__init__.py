"""Photos with more than 8 bits per channel: the distribution of their values, and the range that is used."""
