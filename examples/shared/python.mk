# What a program in C++ needs to hold Python and rmapcore: PYTHON is the interpreter that has rmapcore installed.
PYTHON ?= python3
CXX ?= g++
CXXFLAGS ?= -O2 -Wall -Wextra -Werror
ask = $(shell $(PYTHON) -c "import sys, sysconfig, rmapcore; from sysconfig import get_config_var as v, get_path as p; print($(1))")
CPPFLAGS += -std=c++17 -I../shared -I$(call ask,rmapcore.get_include()) -I$(call ask,p('include')) \
            -DPYTHON='"$(call ask,sys.executable)"'
LDLIBS += -L$(call ask,v('LIBDIR')) -Wl$(,)-rpath$(,)$(call ask,v('LIBDIR')) -lpython$(call ask,v('LDVERSION')) $(call ask,v('LIBS')) -lm
, := ,
