"""`python -m gridtop` is the gridtop command."""

from gridtop.cli import main

if __name__ == "__main__":
    main()
