#!/bin/bash
# Many processes of the language, and a table.
# needs: erl
D=$1; rm -rf "$D"; mkdir -p "$D"; cd "$D"
read < <(HOME=$D erl -noshell -noinput +S 4:4 -eval 'L=[spawn(fun()->lists:foldl(fun(I,A)->maps:put(I,integer_to_list(I),A) end,#{},lists:seq(1,20000)), receive stop->ok end end)||_<-lists:seq(1,20)], E=ets:new(t,[public]), [ets:insert(E,{I,lists:seq(1,20)})||I<-lists:seq(1,20000)], timer:sleep(1500), erlang:garbage_collect(), io:nl(), timer:sleep(60000).')
