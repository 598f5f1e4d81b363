"""Tables of labels: their files, the meaning of their columns, and the choice among several."""
