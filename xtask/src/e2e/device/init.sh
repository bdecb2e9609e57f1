#!/bin/busybox sh
# The guest's first process: kbt as a client of a jobserver that is a character device.
b=/bin/busybox
$b mkdir -p /bin /proc /dev /tmp /run
$b --install -s /bin
export PATH=/bin
mount -t proc proc /proc; mount -t devtmpfs dev /dev; mount -t tmpfs run /run; mount -t tmpfs tmp /tmp
insmod /fuse.ko && insmod /cuse.ko
pool 7 /run/free &
until [ -e /dev/pool ]; do usleep 10000; done
export MAKEFLAGS=" -j8 --jobserver-auth=fifo:/dev/pool"

free() { read -r free fewest < /run/free; echo "$free"; }
fewest() { read -r free fewest < /run/free; echo "$fewest"; }
# is NAME EXPECTED FOUND
is() { if [ "$2" = "$3" ]; then echo "kbt: ok $1"; else echo "kbt: FAILED $1: '$3' instead of '$2'"; fi; }
# free_becomes NAME NUMBER
free_becomes() { i=0; until [ "$(free)" = "$2" ] || [ $i = 500 ]; do i=$((i + 1)); usleep 10000; done; is "$1" "$2" "$(free)"; }
# child NAME OF
child() { for pid in $(cat "/proc/$2/task/$2/children"); do read -r name < "/proc/$pid/comm" && [ "$name" = "$1" ] && echo "$pid"; done; }
# running NAME
running() { cat /proc/[0-9]*/comm 2> /dev/null | grep -c -x "$1"; }
# child_comes NAME OF
child_comes() { i=0; until [ "$(child "$1" "$2")" ] || [ $i = 500 ]; do i=$((i + 1)); usleep 10000; done; }

is "status tells what it is" "style device size 7 free unknown" "$(kbt jobserver status | grep -v -e auth -e open | xargs)"
is "exec takes all tokens" "8 0" "$(kbt jobserver exec -- sh -c 'read free x < /run/free; echo $PARALLELISM $free')"
is "and gives all back" 7 "$(free)"
is "--max leaves the others" "3 5" "$(kbt jobserver exec --max 3 -- sh -c 'read free x < /run/free; echo $PARALLELISM $free')"
is "the command's makes have a FIFO" "-j8 --jobserver-auth=fifo:/tmp" "$(kbt jobserver exec -- sh -c 'set -- $MAKEFLAGS; echo $1 ${2%/*}')"

for signal in TERM INT KILL; do
    kbt jobserver exec -- sleep 77 &
    wrapper=$!
    free_becomes "tokens are taken ($signal)" 0
    child_comes sleep $wrapper
    kill -$signal $wrapper
    wait $wrapper
    free_becomes "$signal of the wrapper" 7
    is "and its command is gone ($signal)" 0 "$(running sleep)"
done

kbt jobserver exec -- sleep 2 &
wrapper=$!
free_becomes "tokens are taken (keeper)" 0
child_comes sleep $wrapper
kill -KILL "$(child kbt-keeper $wrapper)"
free_becomes "the driver takes back what a killed keeper had" 7
wait $wrapper
is "the command ends as ever" 0 $?
is "nothing is given back twice" 7 "$(free)"

kbt jobserver exec --max 6 -- sleep 2 &
holder=$!
free_becomes "another one has five" 2
kbt jobserver exec --min 4 --timeout 0.2 -- true 2> /tmp/said
is "--min gives up after its time" 124 $?
is "and holds nothing" 2 "$(free)"
is "--min waits" 8 "$(kbt jobserver exec --min 4 --timeout 60 -- sh -c 'echo $PARALLELISM')"
wait $holder
is "all are back" 7 "$(free)"

for i in 1 2 3 4 5 6 7 8; do
    { printf '\320\015\376\355'; head -c 500000 /dev/urandom | base64; } > /tmp/$i.dtbo
done
set -- --compression zlib /tmp/1.dtbo /tmp/2.dtbo /tmp/3.dtbo /tmp/4.dtbo /tmp/5.dtbo /tmp/6.dtbo /tmp/7.dtbo /tmp/8.dtbo
kbt dtbo pack --jobs 1 -o /tmp/one.img "$@"
is "pack works without" 0 $?
packs() {
    kbt dtbo pack -o /tmp/many.img "$@" & pack=$!
    i=0; until [ "$(free)" != 7 ] || [ $i = 3000 ]; do i=$((i + 1)); done
}
packs "$@"
is "pack takes a token" 6 "$(free)"
wait $pack
is "and ends well" 0 $?
is "and gives it back" 7 "$(free)"
is "and its bytes are the same" "" "$(cmp /tmp/one.img /tmp/many.img 2>&1)"
packs "$@"
kill -KILL $pack
wait $pack
free_becomes "the driver takes back what a killed pack had" 7
is "nobody is left" 0 "$(running 'kbt.*')"
echo "kbt: the end"
poweroff -f
