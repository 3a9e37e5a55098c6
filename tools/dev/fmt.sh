# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

help_fmt() {
	cat <<TEXT
usage: ./dev fmt [--check]

Formats the C++ sources in place with clang-format 19. BPF sources and the headers that they share with C++ are in
kernel style and left alone.

  --check    change nothing; name the files that are not formatted, and fail

examples:
  ./dev fmt
  ./dev fmt --check
TEXT
}

# cxx_sources: the C++ files of this tree, as NUL-ended paths.
cxx_sources() { find "$root/host" "$root/plugins" "$root/tests" "$root/tools" \( -name '*.cpp' -o -name '*.hpp' \) -print0; }

cmd_fmt() {
	local check='' bad
	while (($#)); do
		case $1 in
		--check) check=1 ;;
		*) usage_error "unknown argument '$1'" fmt ;;
		esac
		shift
	done
	ensure check
	if [[ ! $check ]]; then
		cxx_sources | xargs -0 -r -P "$(nproc)" -n 16 clang-format-19 -i
		return
	fi
	bad=$(cxx_sources | xargs -0 -r clang-format-19 --dry-run 2>&1 |
		sed -n "s|^$root/\\([^:]*\\):.*warning: code should be clang-formatted.*|  \\1|p" | sort -u)
	if [[ $bad ]]; then
		printf '%s\n' "$bad" >&2
		die "these files are not formatted" "./dev fmt"
	fi
}
