"""Compiles the scheme in Cython against the declarations that the installed rmapcore brings along."""
from Cython.Build import cythonize
from setuptools import Extension, setup

# the shared parts are inline text in .pxd files and are meant to be compiled as rmapcore compiles them
DIRECTIVES = {"language_level": 3, "boundscheck": False, "wraparound": False, "initializedcheck": False, "cdivision": True}

setup(ext_modules=cythonize(
    [Extension("outside_scheme.in_cython", ["outside_scheme/in_cython.pyx"],
               extra_compile_args=["-O3", "-fno-strict-aliasing"])], compiler_directives=DIRECTIVES))
