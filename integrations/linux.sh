#!/bin/sh
# Switches a Linux source tree over to one link of vmlinux, and back.
#
#   linux.sh on TREE [KBT]   from now on `kbt kallsyms` makes the table of symbols; KBT is the binary (else: kbt of the path)
#   linux.sh off TREE        as it was, to the byte
#   linux.sh status TREE     says which
#
# scripts/link-vmlinux.sh of TREE gets one line, which reads scripts/link-vmlinux.kbt.sh, and two of its functions get the
# prefix stock_, so that they can be called from there. `off` takes back just that: what else has changed in the tree
# meanwhile stays. Tried with 6.1, 6.12 and 7.2; what else was, and was not: docs/integrations/linux.md.
set -eu

fail()
{
	echo "linux.sh: $*" >&2
	exit 1
}

[ $# -ge 2 ] || fail "usage: linux.sh on|off|status TREE [KBT]"
verb=$1
scripts=$2/scripts
link=$scripts/link-vmlinux.sh
functions=$scripts/link-vmlinux.kbt.sh
fresh=$scripts/link-vmlinux.kbt-new.sh
line='. "${srctree}/scripts/link-vmlinux.kbt.sh"'
[ -f "$link" ] || fail "$2 is no Linux source tree: there is no $link"

is_on()
{
	grep -q -F -x -e "$line" "$link"
}

# What the functions below rely on.
check()
{
	for known in '^vmlinux_link()$' '^mksysmap()$' '^is_enabled()' '^info()' '^# Use "make V=1" to debug this script$'; do
		grep -q -e "$known" "$link" || fail "$link has no line '$known': this version of Linux is not known"
	done
	grep -q '^kallsyms_step()' "$link" || grep -q '^sysmap_and_kallsyms()' "$link" ||
		fail "$link makes the table in a way that is not known"
}

with()
{
	sed -e 's/^vmlinux_link()$/stock_vmlinux_link()/' -e 's/^mksysmap()$/stock_mksysmap()/' \
		-e '/^# Use "make V=1" to debug this script$/i\
'"$line"
}

# One program, so that its exit code is what came of it all.
without()
{
	sed -e 's/^stock_vmlinux_link()$/vmlinux_link()/' -e 's/^stock_mksysmap()$/mksysmap()/' \
		-e '/^\. "\${srctree}\/scripts\/link-vmlinux\.kbt\.sh"$/d'
}

# Puts the script as the function $1 changes it in the script's place, once it is whole. It is newer then, so that the build
# sees that it has changed; where it was a link, what that leads to stays as it is.
publish()
{
	trap 'rm -f "$fresh"' EXIT
	cp -p "$link" "$fresh"
	"$1" < "$link" > "$fresh" && grep -q '^mksysmap()$\|^stock_mksysmap()$' "$fresh" || fail "$fresh could not be written"
	mv -f "$fresh" "$link"
}

write_functions()
{
	cat > "$functions" <<-END
	# Written by kbt's integrations/linux.sh, read by link-vmlinux.sh. Makes the table of symbols with one link: its room is
	# made before the link, its content is written after it.
	[ -n "\${KBT:-}" ] || KBT='$(printf '%s\n' "$kbt" | sed "s/'/'\\\\''/g")'
	END
	cat >> "$functions" <<'END'

# What a link that was killed may have left, and make does not know.
if [ "${1:-}" = clean ]; then
	rm -f vmlinux.kbt-undo vmlinux.unstripped.kbt-undo
fi

# What the pad and the stock build's options have in common.
kbt_options()
{
	if is_enabled CONFIG_KALLSYMS_ALL; then
		echo --all-symbols
	fi
	if is_enabled CONFIG_LTO_CLANG && grep -q -e --lto-clang "$0"; then
		echo --lto-clang
	fi
	if is_enabled CONFIG_64BIT || is_enabled CONFIG_RELOCATABLE; then
		echo --pc-relative
	fi
	# Its references are those of 6.1, its filter is later.
	case "${KERNELVERSION:-}" in
	6.[4-9] | 6.[4-9][!0-9]*)
		echo --kernel=6.6
		;;
	esac
}

# The room for the table, once.
kbt_pad()
{
	if [ "${kallsymso:-}" = .tmp_vmlinux.kbt.o ]; then
		return
	fi
	kbt_objects=vmlinux.o
	for object in .vmlinux.export.o init/version-timestamp.o .builtin-dtbs.o ${arch_vmlinux_o:-}; do
		if [ -f "${object}" ]; then
			kbt_objects="${kbt_objects} ${object}"
		fi
	done
	info PAD .tmp_vmlinux.kbt.o
	"${KBT}" kallsyms pad ${kbt_objects} --lds "${objtree}/${KBUILD_LDS}" $(kbt_options) \
		${KBT_PAD_OPTIONS:-} --pad-file .tmp_vmlinux.kbt.pad -o .tmp_vmlinux.kbt.o
	kallsymso=.tmp_vmlinux.kbt.o
}

# To 6.10.
kallsyms_step()
{
	kbt_pad
	kallsymso_prev=${kallsymso}
	kallsyms_vmlinux=.tmp_vmlinux.kbt
}

# From 6.11 on.
kallsyms()
{
	kbt_pad
}

sysmap_and_kallsyms()
{
	kallsyms_sysmap=.tmp_vmlinux.kbt.syms
}

# The links that only measure the table are left out; BTF is made from the first.
vmlinux_link()
{
	case "$1" in
	.tmp_vmlinux1)
		if ! is_enabled CONFIG_DEBUG_INFO_BTF; then
			return 0
		fi
		;;
	.tmp_vmlinux[23])
		return 0
		;;
	esac
	stock_vmlinux_link "$@"
}

# Fills the table in, and makes System.map of the symbols that were read for it. The table is then held against the
# symbols; that takes the place of the comparison with the last link's map.
mksysmap()
{
	if [ "${kallsymso:-}" != .tmp_vmlinux.kbt.o ]; then
		stock_mksysmap "$@"
		return
	fi
	info KSYMS "${1}"
	"${KBT}" kallsyms patch "${1}" --pad-file .tmp_vmlinux.kbt.pad --in-place --sysmap "${2}"
	"${KBT}" kallsyms verify "${1}" > /dev/null
	ln -f "${2}" .tmp_vmlinux.kbt.syms
}
END
}

case $verb in
on)
	kbt=${3:-$(command -v kbt || true)}
	[ -n "$kbt" ] || fail "there is no kbt in the path; name it behind TREE"
	command -v "$kbt" > /dev/null || fail "$kbt is no program"
	case $kbt in
	*/*) kbt=$(cd "$(dirname "$kbt")" && pwd)/$(basename "$kbt") ;;
	esac
	if is_on; then
		for prefixed in stock_vmlinux_link stock_mksysmap; do
			grep -q "^$prefixed()$" "$link" || fail "$link is switched on and has no $prefixed(): switch it off, or get it anew"
		done
		# Once more: another kbt, or functions of another version of this script.
		write_functions
		touch "$link"
		exit
	fi
	check
	with < "$link" | without | cmp -s - "$link" || fail "$link could not be changed back: this version of Linux is not known"
	write_functions
	publish with
	;;
off)
	if is_on; then
		publish without
	fi
	rm -f "$functions" "$fresh"
	;;
status)
	if is_on; then echo on; else echo off; fi
	;;
*)
	fail "no verb '$verb': there are on, off and status"
	;;
esac
