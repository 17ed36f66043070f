"""``python -m circuitspex``: the command line."""

import sys

from circuitspex.cli.main import main

sys.exit(main())
