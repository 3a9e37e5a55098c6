# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

help_tidy() {
	cat <<TEXT
usage: ./dev tidy [--shell] [FILE.cpp]...

Runs clang-tidy 19 on the C++ sources (or on the named ones) and shellcheck on the scripts. Findings are failures.

  --shell    only the scripts

examples:
  ./dev tidy
  ./dev tidy host/config/config.cpp
TEXT
}

# shell_scripts: NUL-ended paths.
shell_scripts() {
	grep -rlZ --include='*' -E '^#!(/usr/bin/env bash|/bin/busybox sh|/bin/sh)|^# shellcheck shell=' \
		--exclude=CMakeLists.txt "$root/dev" "$root/tools" "$root/tests" "$root/.ci" | sort -z
}

cmd_tidy() {
	local shell='' failed=0
	local -a files=()
	while (($#)); do
		case $1 in
		--shell) shell=1 ;;
		-*) usage_error "unknown option '$1'" tidy ;;
		*)
			[[ -f $1 ]] || usage_error "there is no file '$1'" tidy
			files+=("$(realpath "$1")")
			;;
		esac
		shift
	done
	ensure check
	if ((${#files[@]} == 0)); then
		(cd "$root" && shell_scripts | xargs -0 shellcheck) || failed=1
	fi
	if [[ ! $shell ]]; then tidy_cxx "${files[@]}" || failed=1; fi
	((!failed)) || die "there are findings" "correct them; one file at a time: ./dev tidy FILE.cpp"
}

# tidy_cxx [FILE]...: all that the build compiles when none is named.
tidy_cxx() {
	ensure build test
	tree_build tidy
	if (($# == 0)); then
		mapfile -t files < <(sed -n 's/^ *"file": "\(.*\)",*$/\1/p' "$root/build/tidy/compile_commands.json" |
			grep -F "$root/" | grep -vF "$root/build/" | grep '\.cpp$' | sort -u)
	fi
	say "clang-tidy on ${#files[@]} files"
	printf '%s\0' "${files[@]}" |
		xargs -0 -P "$(nproc)" -n 1 clang-tidy-19 -p "$root/build/tidy" --quiet --warnings-as-errors='*' 2> >(grep -vE '^[0-9]+ warnings? (generated|treated)' >&2)
}
