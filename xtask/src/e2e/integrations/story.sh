#!/bin/sh
# Inside the system of `cargo xtask e2e integrations`: a kernel's package is installed, DKMS builds two modules for it, and two
# initramfs are made. story.sh kmod|kbt: whose depmod; what came of it is in /out/kmod or /out/kbt.
set -eu
whose=$1
out=/out/$whose
release=$(ls /lib/modules)
modules=/lib/modules/$release

if [ "$whose" = kbt ]; then
    kbt install-links /usr/sbin --only depmod --force
else
    ln -sf ../bin/kmod /usr/sbin/depmod
fi
echo "== $(depmod --version | head -n 1)"

# What depmod wrote the last time.
for file in "$modules"/modules.*; do
    case ${file##*/} in
    modules.order | modules.builtin | modules.builtin.modinfo) ;;
    *) rm "$file" ;;
    esac
done
depmod "$release" # as the package's postinst does

for source in /usr/src/*/dkms.conf; do
    name=$(basename "${source%/*}")
    dkms install "${name%-*}/${name##*-}" -k "$release" >/tmp/dkms.log 2>&1 || { cat /tmp/dkms.log; exit 1; }
done
dkms status
mkdir -p "$out/modules"
cp "$modules"/modules.* "$out/modules/"

mkinitramfs -o /tmp/initramfs-tools.img "$release"
DRACUT_NO_MKNOD=1 dracut --no-hostonly --force /tmp/dracut.img "$release" >/tmp/dracut.log 2>&1 || {
    cat /tmp/dracut.log
    exit 1
}
for image in initramfs-tools dracut; do
    unmkinitramfs "/tmp/$image.img" "$out/$image"
    echo "$image: $(stat -c %s "/tmp/$image.img") bytes"
done
if [ -e "$out/dracut/usr/sbin/depmod" ]; then
    echo "in dracut's image: $(chroot "$out/dracut" /usr/sbin/depmod --version | head -n 1)"
fi

for source in /usr/src/*/dkms.conf; do
    name=$(basename "${source%/*}")
    dkms remove "${name%-*}/${name##*-}" --all >/tmp/dkms.log 2>&1 || { cat /tmp/dkms.log; exit 1; }
done
