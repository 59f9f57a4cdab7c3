#!/bin/busybox sh
# First process of the guest: puts the host's root, read-only, under a writable overlay.
b=/bin/busybox
fail() { echo "vm: $*"; $b poweroff -f; }

$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod "/mod/$module" || echo "vm: insmod $module failed"; done < /mod/order
. /vm.env

$b mount -t virtiofs -o ro root /host || fail "no root share"
$b mount -t tmpfs -o size=80% upper /over
$b mkdir /over/upper /over/work
$b mount -t overlay -o lowerdir=/host,upperdir=/over/upper,workdir=/over/work root /new || fail "no overlay"
$b mkdir -p "/new/lib/modules/$VM_KERNEL"
$b mount -o bind "/host$VM_MODULES" "/new/lib/modules/$VM_KERNEL" || fail "no modules"
$b mount -t virtiofs rw "/new$VM_RW" || fail "no writable share"
for fs in proc sys dev; do $b mount -o move /$fs /new/$fs; done
$b mount -t tmpfs run /new/run
$b mkdir -p /new/run/vm /new/run/netns
$b cp /vm.env /stage.sh /command /new/run/vm/
exec $b switch_root /new /bin/bash /run/vm/stage.sh
