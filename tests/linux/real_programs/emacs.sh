#!/bin/bash
# A dump that is mapped and relocated.
# needs: emacs
READY=$1; D=$2; rm -rf "$D"; mkdir -p $D; cd "$D"
HOME=$D emacs --batch --eval '(progn (let (l) (dotimes (i 200000) (push (number-to-string i) l)) (setq x l)) (garbage-collect) (with-temp-buffer (dotimes (i 100000) (insert "hello ")) (write-region nil nil "'$READY'")) (sleep-for 60))'
