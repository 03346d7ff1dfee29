"""`python -m probe`: the command line, for where its script is not on the path."""

from probe.cli.main import main

if __name__ == "__main__":
    main()
