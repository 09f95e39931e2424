"""From media files to the features of a recording store; needs the extra ``media``."""
