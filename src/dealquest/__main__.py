"""`python -m dealquest`."""

from dealquest.cli import main

main()
