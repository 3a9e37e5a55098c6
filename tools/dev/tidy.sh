# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

help_tidy() {
	cat <<TEXT
usage: ./dev tidy [--shell] [FILE.cpp | FOLDER]...

Runs clang-tidy 19 on the C++ sources (or on the named ones, or all in a folder) and shellcheck on the scripts. Findings
are failures. A file takes some seconds and nothing has to be built; CI does not run it.

  --shell    only the scripts

examples:
  ./dev tidy
  ./dev tidy host/config/config.cpp
  ./dev tidy host/base host/config
TEXT
}

# shell_scripts: NUL-ended paths.
shell_scripts() {
	grep -rlZ --include='*' -E '^#!(/usr/bin/env bash|/bin/busybox sh|/bin/sh)|^# shellcheck shell=' \
		--exclude=CMakeLists.txt "$root/dev" "$root/tools" "$root/tests" "$root/host" "$root/packaging" "$root/.ci" | sort -z
}

cmd_tidy() {
	local shell='' failed=0
	local -a files=()
	while (($#)); do
		case $1 in
		--shell) shell=1 ;;
		-*) usage_error "unknown option '$1'" tidy ;;
		*)
			[[ -e $1 ]] || usage_error "there is no file '$1'" tidy
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

# tidy_cxx [FILE | FOLDER]...: all that the build compiles when none is named. The commands alone are needed: no C++
# source includes a file that the build makes.
tidy_cxx() {
	local tree=$root/build/tidy place
	local -a files=()
	ensure build test
	tree_configure tidy
	for place in "${@:-$root}"; do
		mapfile -t -O "${#files[@]}" files < <(sed -n 's/^ *"file": "\(.*\)",*$/\1/p' "$tree/compile_commands.json" |
			grep -vF "$root/build/" | grep '\.cpp$' | awk -v place="$place" '$0 == place || index($0, place "/") == 1' | sort -u)
	done
	((${#files[@]})) || die "the build compiles none of these: $*" "name a .cpp file or a folder of them"
	say "clang-tidy on ${#files[@]} files"
	printf '%s\0' "${files[@]}" |
		xargs -0 -P "$(nproc)" -n 1 clang-tidy-19 -p "$tree" --quiet --warnings-as-errors='*' \
			2> >(grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter' >&2)
}
