#!/bin/bash
# kernel.sh DIR: puts Debian's kernel (DIR/vmlinuz) and a first file system for guests (DIR/initrd)
# there, unless they are there already. Nothing is installed: packages are fetched and unpacked.
set -euo pipefail
init=$(realpath "$(dirname "$0")/init.sh")
mkdir -p "$1"
cd "$1"
[ vmlinuz -nt "$init" ] && exit 0
rm -rf build
mkdir -p build/root/{bin,proc,sys,dev,host}
# The kernel for clouds has no 9p, through which guests see the host's files: this is the plain one.
kernel() { apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -1; }
[ -n "$(kernel)" ] || apt-get update -qq
(cd build && apt-get download -qq -o APT::Sandbox::User=root "$(kernel)" busybox-static)
dpkg --fsys-tarfile build/busybox-static_*.deb | tar -xO ./bin/busybox >build/root/bin/busybox
chmod +x build/root/bin/busybox
# Only what is needed: unpacking all 400 MB is the slow part.
dpkg --fsys-tarfile build/linux-image-*.deb | tar -x -C build/root --wildcards './boot/vmlinuz-*' \
    './lib/modules/*/kernel/drivers/virtio/*' './lib/modules/*/kernel/net/9p/*' \
    './lib/modules/*/kernel/fs/9p/*' './lib/modules/*/kernel/fs/netfs/*' './lib/modules/*/kernel/fs/fscache/*'
build/root/bin/busybox depmod -b build/root "$(ls build/root/lib/modules)"
mv build/root/boot/vmlinuz-* build/vmlinuz
cp "$init" build/root/init
(cd build/root && find . | cpio --quiet -o -H newc) | gzip -1 >initrd
touch build/vmlinuz
mv build/vmlinuz . # last, so that its presence says that all is there
rm -rf build
