#!/bin/bash
# Threads with their own garbage; compiled and run.
# needs: java javac
D=$1
rm -rf "$D"; mkdir -p "$D"; cd "$D"
cat > T.java <<'X'
import java.util.*; import java.util.concurrent.*;
public class T { static List<Object> keep=Collections.synchronizedList(new ArrayList<>());
 public static void main(String[] a) throws Exception { ExecutorService e=Executors.newFixedThreadPool(8);
  List<Future<?>> f=new ArrayList<>();
  for(int t=0;t<64;t++){final int k=t; f.add(e.submit(()->{Map<String,Integer> m=new HashMap<>(); for(int i=0;i<20000;i++)m.merge("k"+(i*31+k)%5000,1,Integer::sum); keep.add(m); byte[] b=new byte[200000]; keep.add(b); if(k%8==0)keep.add(java.nio.ByteBuffer.allocateDirect(1<<20)); return 0;}));}
  for(var x:f)x.get(); System.gc(); System.out.println(); Thread.sleep(60000);} }
X
javac T.java
read < <(java ${JAVA_ARGS} -Xmx256m T)
