#!/bin/sh
# Stands in for pahole: an object with a section of types, made of the image IMAGE. gen-btf.sh IMAGE OBJECT
set -e
types=$(nm "$1" | grep -c -v ' kallsyms_')
printf '\t.section .BTF, "a"\n\t.long 0xeb9f, %s\n' "$types" | ${AS} -o "$2" -
