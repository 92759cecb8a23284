"""``python -m dmws_lite`` is the command ``dmws-lite``."""

from dmws_lite.cli import main

raise SystemExit(main())
