#!/bin/bash
# Threads, fibers, compaction, and forks that write.
# needs: ruby
D=$1
rm -rf "$D"; mkdir -p "$D"; cd "$D"
cat > r.rb <<'X'
require 'json'; require 'zlib'; require 'digest'
$k=[]; t=8.times.map{|i| Thread.new{ h={}; 40000.times{|j| h["#{i}-#{j}"]=[j,j.to_s]}; $k<<h; Digest::SHA256.hexdigest(h.to_json); Fiber.new{ $k << "y"*100000; Fiber.yield }.resume } }; t.each(&:join)
GC.start; GC.compact rescue 0
3.times{|n| fork{ $m=[]; 20000.times{|i| $m<<"c#{n}#{i}"*3}; $k.pop; Thread.new{ sleep }; GC.start; sleep } }
Zlib.deflate("a"*5000000); sleep 2; puts; $stdout.flush; sleep 60
X
read < <(ruby r.rb)
