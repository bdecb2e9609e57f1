# `triggered`: another package laid or removed a file of one of the names.
case $1 in
configure | triggered | abort-*)
	for link in $NAMES; do
		name=${link##*/}
		if is_taken; then give_up; else take; fi
	done
	;;
esac
