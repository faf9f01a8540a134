"""The command line: one module per verb, data on stdout, talk and progress on stderr."""
