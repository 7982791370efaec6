#!/bin/bash
# A server and its clients in one program.
# needs: go
D=$1
mkdir -p "$D"; cd "$D"
cat > m.go <<'X'
package main
import ("sync";"net/http";"fmt";"io";"runtime";"time")
var keep [][]byte; var mu sync.Mutex
func main(){ go http.ListenAndServe("127.0.0.1:18082",http.HandlerFunc(func(w http.ResponseWriter,r *http.Request){b:=make([]byte,50000);for i:=range b{b[i]=byte(i)};mu.Lock();if len(keep)<400{keep=append(keep,b)};mu.Unlock();fmt.Fprintf(w,"%d",len(b))}))
 time.Sleep(200*time.Millisecond)
 var wg sync.WaitGroup; for t:=0;t<16;t++{wg.Add(1);go func(){defer wg.Done();m:=map[string][]int{};for i:=0;i<300;i++{r,e:=http.Get("http://127.0.0.1:18082/");if e==nil{io.Copy(io.Discard,r.Body);r.Body.Close()};k:=fmt.Sprint(i%100);m[k]=append(m[k],i)}}()}
 wg.Wait(); runtime.GC(); keep=keep[:100]; runtime.GC(); time.Sleep(time.Second); fmt.Println(); time.Sleep(60*time.Second)}
X
[ -x m ] || GOFLAGS=-mod=mod GO111MODULE=off GOCACHE=$D/cache go build -o m m.go || exit 1
[ "$2" = prepare ] && exit
read < <(./m)
