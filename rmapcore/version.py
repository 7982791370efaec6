"""The version, for the package, the build and every JSON."""

VERSION = "0.1.0"
