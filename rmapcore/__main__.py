"""python -m rmapcore"""
from rmapcore.cli import main

raise SystemExit(main())
