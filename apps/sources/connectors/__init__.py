"""One file per kind of source; a file that appears here is a kind that can be added."""
