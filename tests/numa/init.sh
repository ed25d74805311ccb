#!/bin/busybox sh
# shellcheck shell=dash
# A guest's first process: mounts the host's root read-only, runs the host's command in it, and
# leaves its output and exit status in the folder that is shared both ways.
/bin/busybox --install -s /bin
mount -t proc proc /proc
modprobe -a virtio_pci 9pnet_virtio 9p
share="trans=virtio,version=9p2000.L,msize=512000"
mount -t 9p -o "$share,ro,cache=loose" root /host || poweroff -f
mount -t proc proc /host/proc
mount -t sysfs sysfs /host/sys
mount -t cgroup2 cgroup2 /host/sys/fs/cgroup
mount -t devtmpfs devtmpfs /host/dev
mkdir /host/dev/shm /host/dev/shared
mount -t tmpfs tmpfs /host/dev/shm
mount -t 9p -o "$share" shared /host/dev/shared || poweroff -f
chroot /host /bin/sh /dev/shared/command </host/dev/null >/host/dev/shared/output 2>&1
echo $? >/host/dev/shared/status
sync
poweroff -f
