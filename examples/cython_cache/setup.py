"""Compiles the simulator against the header and the declarations that the installed rmapcore brings along."""
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

import rmapcore

INSTALLED = str(Path(rmapcore.__file__).parents[1])

setup(name="cython-cache", py_modules=["replay"], ext_modules=cythonize(
    [Extension("cache", ["cache.pyx"], include_dirs=[rmapcore.get_include()], extra_compile_args=["-O2"])],
    include_path=[INSTALLED]))
