#!/bin/bash
# Threads, each a copy of the interpreter, and forks.
# needs: perl
D=$1; rm -rf "$D"; mkdir -p "$D"; cd "$D"
read < <(perl -Mthreads -e 'my %h; $h{$_}="x$_" for 1..60000; my @t=map{threads->create(sub{my %g=map{$_=>1}1..20000; sleep 60})}1..3; my $p; for(1..3){ if(!fork){ $h{$_}.="y" for 1..10000; sleep 60 } } sleep 1; $|=1; print "\n"; sleep 60')
