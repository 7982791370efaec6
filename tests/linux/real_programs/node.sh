#!/bin/bash
# A cluster, worker threads, WebAssembly.
# needs: node ab
D=$1
rm -rf "$D"; mkdir -p "$D"; cd "$D"
cat > s.js <<'X'
const http=require('http'),{Worker,isMainThread,parentPort}=require('worker_threads'),zlib=require('zlib'),crypto=require('crypto'),cluster=require('cluster');
if(!isMainThread){ let k=[];for(let i=0;i<200000;i++)k.push({i,s:'x'+i}); parentPort.postMessage(k.length); setInterval(()=>0,1000); }
else if(cluster.isPrimary){ cluster.fork();cluster.fork(); for(let i=0;i<3;i++)new Worker(__filename).on('message',console.log);
 const m=new WebAssembly.Memory({initial:10,maximum:1000}); m.grow(50); new Uint8Array(m.buffer).fill(1);
 for(let i=0;i<20;i++)crypto.pbkdf2('a','b',10000,64,'sha512',()=>0); global.b=Buffer.alloc(30<<20,1); zlib.gzipSync(global.b); }
else http.createServer((q,r)=>{const a=[];for(let i=0;i<3000;i++)a.push({i,d:Math.random()});r.end(JSON.stringify(a))}).listen(18081,'127.0.0.1');
X
node s.js &
sleep 2
ab -q -n 3000 -c 16 http://127.0.0.1:18081/ >/dev/null
sleep 1
