"""`python -m gpuaccept`."""

from gpuaccept.cli.main import main

if __name__ == "__main__":
    main()
