#!/bin/sh
set -e

# Which names of replaced tools are alternatives. Another package's file is never touched, be it there before kbt, come
# later or go: a name is an alternative only while no package has a file of it.

NAMES="/usr/sbin/depmod /usr/bin/fdtoverlay /usr/bin/jobserver-exec /usr/bin/kallsyms /usr/bin/mkdtboimg"

leads_to_alternative() {
	[ "$(readlink "$link")" = "/etc/alternatives/$name" ]
}

# Whether the name is another's: of a package (asked for in both of the directories that were once two) or of the
# administrator, who may have diverted it.
is_taken() {
	dpkg-query --search "$link" >/dev/null 2>&1 || dpkg-query --search "${link#/usr}" >/dev/null 2>&1 ||
		{ { [ -e "$link" ] || [ -L "$link" ]; } && ! leads_to_alternative; }
}

take() {
	update-alternatives --quiet --install "$link" "$name" "/usr/lib/kbt/bin/$name" 10
}

# update-alternatives --remove takes away whatever symbolic link has the name, and kmod's depmod is one. So where the link
# is another's, that alternative is forgotten by the two files that it consists of.
give_up() {
	choices=$(update-alternatives --list "$name" 2>/dev/null) || return 0
	if [ ! -L "$link" ] || leads_to_alternative; then
		update-alternatives --quiet --remove "$name" "/usr/lib/kbt/bin/$name"
	elif [ "$choices" = "/usr/lib/kbt/bin/$name" ]; then
		rm -f "/etc/alternatives/$name" "/var/lib/dpkg/alternatives/$name"
	fi
}

