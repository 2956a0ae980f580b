"""nablac beside other ways to run a network: one command, one run. See `./benches/run --help`."""
