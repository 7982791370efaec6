#!/bin/bash
# Its processes from one zygote, in their sandbox.
# needs: chromium setpriv
D=$1
rm -rf "$D"; mkdir -p "$D"; chmod 777 "$D"; cd "$D"
echo '<script>let k=[];for(let i=0;i<300000;i++)k.push({i,s:"x"+i});document.title=k.length;let c=document.createElement("canvas");c.width=c.height=800;document.body?.append(c);new Worker(URL.createObjectURL(new Blob(["let a=[];for(let i=0;i<1e6;i++)a.push(i);setInterval(()=>0,1000)"])))</script><body><h1>hello</h1>' > p.html
HOME=$D setpriv --reuid=nobody --regid=nogroup --clear-groups chromium --headless=new --user-data-dir=$D/u --disable-gpu --disable-dev-shm-usage $CHROMIUM_ARGS --remote-debugging-port=18083 file://$D/p.html &
sleep ${CHROMIUM_SECONDS:-8}
