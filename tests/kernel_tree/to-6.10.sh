#!/bin/sh
# A stand-in for scripts/link-vmlinux.sh of Linux 6.1 to 6.10, of the tests' own making: the functions that
# integrations/linux.sh relies on, called in the kernel's order. The table is passed to the links as an argument.
set -e

is_enabled() {
	grep -q "^$1=y" include/config/auto.conf
}

info()
{
	printf "  %-7s %s\n" "${1}" "${2}"
}

vmlinux_link()
{
	output=${1}
	info LD ${output}
	shift
	${LD} --script=${objtree}/${KBUILD_LDS} -o ${output} vmlinux.o init/version-timestamp.o $@
}

gen_btf()
{
	vmlinux_link ${1}
	sh "${srctree}/scripts/gen-btf.sh" ${1} ${2}
}

kallsyms()
{
	info KSYMS ${2}
	${KALLSYMS} ${1} --all-symbols -o ${2}
}

kallsyms_step()
{
	kallsymso_prev=${kallsymso}
	kallsyms_vmlinux=.tmp_vmlinux.kallsyms${1}
	kallsymso=${kallsyms_vmlinux}.o

	vmlinux_link ${kallsyms_vmlinux} "${kallsymso_prev}" ${btf_vmlinux_bin_o}
	mksysmap ${kallsyms_vmlinux} ${kallsyms_vmlinux}.syms
	kallsyms ${kallsyms_vmlinux} ${kallsymso}
}

mksysmap()
{
	info NM ${2}
	nm -n ${1} | grep -v ' [aNUw] ' > ${2}
}

cleanup()
{
	rm -f .tmp_vmlinux* System.map vmlinux
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

btf_vmlinux_bin_o=""
if is_enabled CONFIG_DEBUG_INFO_BTF; then
	btf_vmlinux_bin_o=.btf.vmlinux.bin.o
	if ! gen_btf .tmp_vmlinux.btf $btf_vmlinux_bin_o ; then
		exit 1
	fi
fi

kallsymso=""
kallsymso_prev=""
kallsyms_vmlinux=""
if is_enabled CONFIG_KALLSYMS; then
	kallsyms_step 1
	kallsyms_step 2
	if [ "$(wc -c < ${kallsymso_prev})" -ne "$(wc -c < ${kallsymso})" ]; then
		kallsyms_step 3
	fi
fi

vmlinux_link vmlinux "${kallsymso}" ${btf_vmlinux_bin_o}

mksysmap vmlinux System.map

if is_enabled CONFIG_KALLSYMS; then
	if ! cmp -s System.map ${kallsyms_vmlinux}.syms; then
		echo >&2 Inconsistent kallsyms data
		exit 1
	fi
fi
