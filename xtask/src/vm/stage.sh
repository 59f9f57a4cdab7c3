# Second half of the guest's start, on the host's root: the rest of the file systems, modules, the command.
. /run/vm/vm.env
export PATH HOME=/root LANG=C.UTF-8 CI VM=1
PATH=$VM_PATH CI=$VM_CI
[ -n "$CI" ] || unset CI

mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
ln -sf /proc/self/fd /dev/fd
mount -t bpf bpf /sys/fs/bpf
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
hostname vm
ip link set lo up
# A kernel without one of these has it built in, or does not have it: the command will find out.
modprobe -qa esp4 esp6 xfrm_user xfrm4_tunnel xfrm6_tunnel ipip ip6_tunnel xfrm_interface veth bridge dummy \
  8021q sch_ingress cls_bpf act_gact act_bpf af_packet udp_diag cbc aesni_intel sha256_generic hmac gcm ghash_generic ccm \
  authenc authencesn echainiv seqiv chacha20poly1305 2>/dev/null

for port in /sys/class/virtio-ports/*; do ln -sf "/dev/${port##*/}" "/dev/vm.$(cat "$port/name")"; done
cd "$VM_DIR" || cd /
echo "vm: up after $(cut -d' ' -f1 /proc/uptime) s" > /dev/console
bash /run/vm/command < /dev/null > /dev/vm.out 2>&1
echo $? > /dev/vm.rc
sync
/bin/busybox poweroff -f
