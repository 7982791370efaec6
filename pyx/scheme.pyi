from rmapcore import _SchemeBase as Scheme

__all__ = ["Scheme"]
