"""``python -m deep_artists`` is the command ``deep-artists``."""

import sys

from .cli import main

sys.exit(main())
