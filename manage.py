#!/usr/bin/env python3
"""Every command of Tollgate: `manage.py help` lists them. They attach to the servers of TOLLGATE_HOME."""

import os
import sys

from apps.config.command_line import main

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "apps.config.settings")
    sys.exit(main(sys.argv))
