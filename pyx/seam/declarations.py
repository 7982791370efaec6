"""What a Prototype class may say: hooks, traits and arrays. Whatever else looks like one of them is told, not passed over."""
import difflib

import numpy as np

MOST_BYTES = 1 << 16                   # of one record in the kernel's structure


def validate(cls, base, hooks, traits, per):
    """Refuses a subclass of `base` that says something nobody would hear: ValueError with the nearest name that is heard.

    hooks, traits: names.  per: what arrays are numbered by.
    """
    told = [name for name in dir(cls) if not name.startswith("_") and name not in hooks and name not in ("traits", "arrays")]
    for name in told:
        here, there = getattr(cls, name), getattr(base, name, None)
        if there is None and callable(here):
            raise ValueError(f"{cls.__name__}.{name} is no hook; {nearest(name, hooks)}names of helpers begin with _")
        if there is not None and here is not there and not callable(there):    # it would only hide a field of the object in C
            where = "put it into traits" if name in traits else "it follows from the hooks and the name of the class"
            raise ValueError(f"{cls.__name__}.{name} would not be heard: {where}")
    for name in cls.traits:
        if name not in traits:
            raise ValueError(f"{cls.__name__}.traits has no {name!r}; {nearest(name, traits)}there are {', '.join(traits)}")
    for name, declared in cls.arrays.items():
        if not isinstance(name, str) or not name.isidentifier() or hasattr(cls, name):
            raise ValueError(f"{cls.__name__}.arrays: {name!r} is taken, or no name")
        numbered, dtype, size = declared if isinstance(declared, tuple) and len(declared) == 3 else (None, None, None)
        if numbered not in per or not (size == "word" or (isinstance(size, int) and 0 <= size < MOST_BYTES)):
            raise ValueError(f"{cls.__name__}.arrays: {name}: {declared!r} is not ({' or '.join(per)}, dtype, bytes or 'word')")
        if np.dtype(dtype).hasobject:
            raise ValueError(f"{cls.__name__}.arrays: {name}: {dtype!r} holds Python objects, which cannot be saved")


def nearest(name, names):
    """A question about the nearest of these names, if one is near."""
    found = difflib.get_close_matches(name, names, 1, 0.5)
    return f"did you mean {found[0]}? " if found else ""
