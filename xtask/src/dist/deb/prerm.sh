case $1 in
remove | deconfigure)
	for link in $NAMES; do
		name=${link##*/}
		give_up
		if [ "$(readlink -f "$link")" = /usr/bin/kbt ]; then
			echo "kbt: warning: $link leads to kbt, which is going: remove that link and its diversion (dpkg-divert --rename --remove)" >&2
		fi
	done
	;;
esac
