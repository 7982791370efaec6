#!/bin/bash
# Compilers under make, which has a hole in its image.
# needs: gcc make
D=$1
rm -rf "$D"; mkdir -p "$D"; cd "$D"
for i in 1 2 3 4; do echo "#include <stdio.h>
#include <stdlib.h>
#include <math.h>
int f$i(int a){int s=0;for(int i=0;i<a;i++)s+=i*$i;return s;}" > f$i.c; done; echo 'int main(){return 0;}' > main.c
printf 'all: m\n\techo; sleep 60\nm: f1.o f2.o f3.o f4.o main.o\n\tgcc -o m $^\n' > Makefile
read < <(make -s -j2 CFLAGS=-O2)
