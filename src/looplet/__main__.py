"""`python -m looplet` is the `looplet` command."""

import sys

from looplet.cli import main

sys.exit(main())
