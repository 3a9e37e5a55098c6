# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

help_build() {
	cat <<TEXT
usage: ./dev build [--preset P] [TARGET]...

Builds in build/P. Presets: ${presets[*]} (default: dev).

examples:
  ./dev build
  ./dev build --preset release
  ./dev build scxhost
TEXT
}

cmd_build() {
	local preset=dev
	local -a targets=() purposes=(build)
	while (($#)); do
		case $1 in
		--preset) need_value "$1" $# build && preset=$2 && shift ;;
		-*) usage_error "unknown option '$1'" build ;;
		*) targets+=("$1") ;;
		esac
		shift
	done
	check_preset "$preset" build
	case $preset in
	release | release-strict) ;;
	bench) purposes+=(bench) ;;
	fuzz | asan-ubsan | tsan) purposes+=(test fuzz) ;;
	*) purposes+=(test) ;;
	esac
	ensure "${purposes[@]}"
	tree_build "$preset" "${targets[@]}"
	say "Built: build/$preset"
}
