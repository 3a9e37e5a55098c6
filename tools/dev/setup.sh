# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

help_setup() {
	cat <<TEXT
usage: ./dev setup [--kernel V]... [--refresh]

Installs what toolchain.list names and this machine lacks (on Debian; elsewhere it prints the names), builds libbpf
when the system's is too old, and fetches the default kernel. Every other command does this by itself for what it
needs; nothing is done twice.

  --kernel V     fetch this kernel too: a series or release of kernels.list, or all
  --refresh      ask the archive for newer point releases of the kernels

The cache is $cache; removing it is safe.

examples:
  ./dev setup
  ./dev setup --kernel all
TEXT
}

cmd_setup() {
	local name
	local -a kernels
	kernels=("$(kernel_default)")
	while (($#)); do
		case $1 in
		--kernel)
			need_value "$1" $# setup
			if [[ $2 == all ]]; then mapfile -t -O "${#kernels[@]}" kernels < <(kernel_series); else kernels+=("$2"); fi
			shift
			;;
		--refresh) refresh=1 ;;
		*) usage_error "unknown argument '$1'" setup ;;
		esac
		shift
	done
	ensure build vm test bench check
	if is_debian; then ensure package packtest; fi
	for name in "${kernels[@]}"; do
		kernel_image "$name" >/dev/null || exit
	done
	say "Ready: libbpf $(pkg-config --modversion libbpf), kernel $(kernel_cached "$(kernel_default)")"
}
