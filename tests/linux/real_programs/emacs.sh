#!/bin/bash
# A dump that is mapped and relocated.
# needs: emacs
D=$1; rm -rf "$D"; mkdir -p $D; cd "$D"
read < <(HOME=$D emacs --batch --eval '(progn (let (l) (dotimes (i 200000) (push (number-to-string i) l)) (setq x l)) (garbage-collect) (with-temp-buffer (dotimes (i 100000) (insert "hello ")) (write-region nil nil "f")) (send-string-to-terminal "\n") (sleep-for 60))')
