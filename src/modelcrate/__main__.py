"""``python -m modelcrate``."""

from modelcrate.cli.main import main

raise SystemExit(main())
