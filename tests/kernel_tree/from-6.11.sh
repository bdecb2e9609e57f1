#!/bin/sh
# A stand-in for scripts/link-vmlinux.sh of Linux 6.11 to 7.2, of the tests' own making: the functions that
# integrations/linux.sh relies on, called in the kernel's order. The table and BTF reach the links by variables.
set -e

VMLINUX="$1"

is_enabled() {
	grep -q "^$1=y" ${objtree}/include/config/auto.conf
}

info()
{
	printf "  %-7s %s\n" "${1}" "${2}"
}

vmlinux_link()
{
	info LD ${1}
	${LD} --script=${objtree}/${KBUILD_LDS} -o ${1} vmlinux.o init/version-timestamp.o \
		${kallsymso} ${btf_vmlinux_bin_o}
}

kallsyms()
{
	info KSYMS "${2}.o"
	if [ -s "${1}" ]; then
		${KALLSYMS} "${1%.syms}" --all-symbols -o "${2}.o"
	else
		${KALLSYMS} --from-nm "${1}" --like vmlinux.o --all-symbols -o "${2}.o"
	fi
	kallsymso=${2}.o
}

sysmap_and_kallsyms()
{
	mksysmap "${1}" "${1}.syms"
	kallsyms "${1}.syms" "${1}.kallsyms"

	kallsyms_sysmap=${1}.syms
}

mksysmap()
{
	info NM ${2}
	nm -n "${1}" | grep -v ' [aNUw] ' > "${2}"
}

cleanup()
{
	rm -f .tmp_vmlinux* System.map vmlinux vmlinux.unstripped
}

# Use "make V=1" to debug this script
case "${KBUILD_VERBOSE}" in
*1*)
	set -x
	;;
esac

if [ "$1" = "clean" ]; then
	cleanup
	exit 0
fi

btf_vmlinux_bin_o=
kallsymso=

if is_enabled CONFIG_KALLSYMS; then
	true > .tmp_vmlinux0.syms
	kallsyms .tmp_vmlinux0.syms .tmp_vmlinux0.kallsyms
fi

if is_enabled CONFIG_KALLSYMS || is_enabled CONFIG_DEBUG_INFO_BTF; then
	vmlinux_link .tmp_vmlinux1
fi

if is_enabled CONFIG_DEBUG_INFO_BTF; then
	if ! sh "${srctree}/scripts/gen-btf.sh" .tmp_vmlinux1 .tmp_vmlinux1.btf.o; then
		exit 1
	fi
	btf_vmlinux_bin_o=.tmp_vmlinux1.btf.o
fi

if is_enabled CONFIG_KALLSYMS; then
	sysmap_and_kallsyms .tmp_vmlinux1
	size1=$(wc -c < ${kallsymso})

	vmlinux_link .tmp_vmlinux2
	sysmap_and_kallsyms .tmp_vmlinux2
	size2=$(wc -c < ${kallsymso})

	if [ $size1 -ne $size2 ]; then
		vmlinux_link .tmp_vmlinux3
		sysmap_and_kallsyms .tmp_vmlinux3
	fi
fi

vmlinux_link "${VMLINUX}"

mksysmap "${VMLINUX}" System.map

if is_enabled CONFIG_KALLSYMS; then
	if ! cmp -s System.map "${kallsyms_sysmap}"; then
		echo >&2 Inconsistent kallsyms data
		exit 1
	fi
fi
