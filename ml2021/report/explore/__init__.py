"""explore.html: the function of a run in one page, to be tried by hand, without a server."""
