# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# prometheus, which tests scrape metrics with, and promtool, which checks them: the system's, else those of Debian's package
# prometheus, kept in $cache. The package is not installed, because that would start a server on this machine.

prometheus_programs=(prometheus promtool)

# prometheus_program NAME: its path; false when there is none.
prometheus_program() {
	command -v "$1" && return
	[[ -x $cache/$1 ]] && echo "$cache/$1"
}

# prometheus_setup: makes prometheus_program succeed for both.
prometheus_setup() {
	if prometheus_present; then return; fi
	with_lock prometheus prometheus_fetch || exit
}

prometheus_present() {
	local name
	for name in "${prometheus_programs[@]}"; do
		prometheus_program "$name" >/dev/null || return
	done
}

prometheus_fetch() {
	local suite dir name
	if prometheus_present; then return; fi
	is_debian || die "prometheus or promtool is missing" "install Prometheus, and put both programs into a folder of PATH"
	mkdir -p "$cache"
	dir=$(mktemp -d "$cache/.prometheus.XXXXXX")
	for suite in $(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release) sid; do
		(apt_index "$suite" deb) || continue
		if step "Fetching Prometheus from Debian $suite" prometheus_unpack "$suite" "$dir"; then break; fi
	done
	for name in "${prometheus_programs[@]}"; do
		if [[ -x $dir/usr/bin/$name ]]; then mv "$dir/usr/bin/$name" "$cache/$name"; fi
	done
	rm -rf "$dir"
	prometheus_present || die "prometheus and promtool could not be fetched" "check the network, then ./dev setup"
}

# prometheus_unpack SUITE DIR
prometheus_unpack() (
	cd "$2" && apt_for "$1" apt-get download prometheus && dpkg-deb --extract prometheus_*.deb .
)
