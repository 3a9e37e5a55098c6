# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A benchmark is an executable file tests/bench/NAME: it prints its table on stdout and says with --summary, in one line,
# what it measures. It finds what it needs in the environment: SCX_BUILD (the build tree), SCX_STAGE (an installation of
# it), SCX_RUN_GUEST (tools/vm/run-guest).

bench_names() { find "$root/tests/bench" -maxdepth 1 -type f -executable -printf '%f\n' 2>/dev/null | sort; }

help_bench() {
	local name
	cat <<TEXT
usage: ./dev bench [NAME] [-- ARG...]

Builds and measures; without NAME each benchmark in turn. The table goes to stdout. Figures of different runs or
machines do not compare; ratios within one run do.

TEXT
	while read -r name; do
		printf '  %-14s %s\n' "$name" "$("$root/tests/bench/$name" --summary)"
	done < <(bench_names)
	printf '\n%s\n' "example: ./dev bench cost"
}

cmd_bench() {
	local name stage guess
	local -a names args=()
	mapfile -t names < <(bench_names)
	if (($#)) && [[ $1 != -* ]]; then
		if [[ " ${names[*]} " != *" $1 "* ]]; then
			guess=$(nearest "$1" "${names[@]}")
			usage_error "there is no benchmark '$1'${guess:+; do you mean '$guess'?} (known: ${names[*]:-none})" bench
		fi
		names=("$1")
		shift
	fi
	if (($#)); then
		[[ $1 == -- ]] || usage_error "unknown argument '$1'" bench
		shift
		args=("$@")
	fi
	((${#names[@]})) || die "there are no benchmarks in tests/bench" "add one: an executable file, see tools/dev/bench.sh"
	ensure build vm bench
	tree_build bench
	stage=$(tree_stage bench) || exit
	kernel_image "$(kernel_default)" >/dev/null || exit
	export SCX_BUILD=$root/build/bench SCX_STAGE=$stage SCX_RUN_GUEST=$tools/vm/run-guest
	for name in "${names[@]}"; do
		say "Benchmark: $name"
		"$root/tests/bench/$name" "${args[@]}" || die "the benchmark '$name' failed" "./dev bench $name runs it alone"
	done
}
