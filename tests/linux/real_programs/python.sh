#!/bin/bash
# Pools by fork and by spawn, shared memory, numpy on huge pages.
# needs: /usr/bin/python3 /usr/lib/python3/dist-packages/numpy
D=$1
rm -rf "$D"; mkdir -p "$D"; cd "$D"
cat > p.py <<'X'
import multiprocessing as mp, threading, time
from multiprocessing import shared_memory
import numpy as np
A=np.arange(3_000_000,dtype=np.float64); L=[str(i) for i in range(100000)]
def f(k):
    global X
    X=np.random.default_rng(k).random((400,400)); X=X@X; s=sum(len(x) for x in L[k*1000:(k+5)*1000]); A[k*1000:(k+1)*1000]=s
    time.sleep(0.05); return float(X.sum())
def w(name,q):
    m=shared_memory.SharedMemory(name); b=np.ndarray((1<<18,),np.uint8,m.buf); b[::4096]=7; q.put(1); time.sleep(60)
if __name__=='__main__':
    p=mp.get_context('fork').Pool(3); p.map(f,range(40))
    s=mp.get_context('spawn').Pool(2); s.map(abs,range(20))
    m=shared_memory.SharedMemory(create=True,size=1<<18); q=mp.Queue(); ps=[mp.Process(target=w,args=(m.name,q)) for _ in range(2)]
    [x.start() for x in ps]; [q.get() for x in ps]
    t=[threading.Thread(target=time.sleep,args=(60,),daemon=True) for _ in range(5)]; [x.start() for x in t]
    print(flush=True); time.sleep(60)
X
read < <(/usr/bin/python3 p.py)
