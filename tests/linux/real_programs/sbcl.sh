#!/bin/bash
# A heap that is written on protected pages.
# needs: sbcl
D=$1; rm -rf "$D"; mkdir -p "$D"; cd "$D"
read < <(HOME=$D sbcl --noinform --no-userinit --eval '(progn (defvar *h* (make-hash-table :test (quote equal))) (dotimes (i 200000) (setf (gethash (format nil "~a" i) *h*) (list i i))) (dotimes (i 3) (sb-thread:make-thread (lambda () (dotimes (j 100) (make-array 20000)) (sleep 60)))) (gc :full t) (sleep 1) (terpri) (finish-output) (sleep 60))')
