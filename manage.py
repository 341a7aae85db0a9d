#!/usr/bin/env python3
"""Django's command line. A setting that can't be right ends here, with one sentence and exit code 2."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        _ = settings.INSTALLED_APPS  # reads the settings now: a wrong value must not look like an unknown command
    except ImproperlyConfigured as error:
        sys.exit(_complain(str(error)))
    execute_from_command_line(sys.argv)


def _complain(sentence: str) -> int:
    print(f"parley: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
