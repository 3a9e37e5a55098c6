# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# promtool, which checks metrics: the system's, else the one of Debian's package prometheus, kept in $cache. The package
# is not installed, because that would start a server on this machine.

# promtool_program: its path; false when there is none.
promtool_program() {
	command -v promtool && return
	[[ -x $cache/promtool ]] && echo "$cache/promtool"
}

# promtool_setup: makes promtool_program succeed.
promtool_setup() {
	if promtool_program >/dev/null; then return; fi
	with_lock promtool promtool_fetch || exit
}

promtool_fetch() {
	local suite dir
	if promtool_program >/dev/null; then return; fi
	is_debian || die "promtool is missing" "install it (it comes with Prometheus), and put it into a folder of PATH"
	mkdir -p "$cache"
	dir=$(mktemp -d "$cache/.promtool.XXXXXX")
	for suite in $(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release) sid; do
		(apt_index "$suite" deb) || continue
		if step "Fetching promtool from Debian $suite" promtool_unpack "$suite" "$dir"; then break; fi
	done
	if [[ -x $dir/usr/bin/promtool ]]; then mv "$dir/usr/bin/promtool" "$cache/promtool"; fi
	rm -rf "$dir"
	promtool_program >/dev/null || die "promtool could not be fetched" "check the network, then ./dev setup"
}

# promtool_unpack SUITE DIR
promtool_unpack() (
	cd "$2" && apt_for "$1" apt-get download prometheus && dpkg-deb --extract prometheus_*.deb .
)
