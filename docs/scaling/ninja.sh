#!/bin/sh
# Writes a build.ninja of products: `name base overlay...` a line on standard input. Each product is a merged tree, and
# all of them are one image.
#
#     docs/scaling/ninja.sh < products > build.ninja && ninja
set -eu

cat <<'RULES'
kbt = kbt
rule apply
  command = $kbt dto apply $in -o $out --depfile $out.d
  depfile = $out.d
  deps = gcc
  description = merge $out
rule pack
  command = $kbt dtbo pack $in -o $out --version 1 --compression zlib --depfile $out.d
  depfile = $out.d
  deps = gcc
  description = pack $out
RULES

all=
while read -r name inputs; do
	echo "build $name.dtb: apply $inputs"
	all="$all $name.dtb"
done
echo "build products.img: pack$all"
echo "default products.img"
