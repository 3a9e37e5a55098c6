# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

test_labels=(unit plugin vm sdk tools style fuzz)

help_test() {
	cat <<TEXT
usage: ./dev test [LABEL]... [--filter RE] [--jobs N]

Builds and tests. Without LABEL and --filter: all that CI runs, which is unit and plugin tests under the address and
undefined-behaviour sanitizers, then everything but fuzz. Ends with CTest's summary.

  unit      the host's parts; no root, no kernel         tools    this script and the guest runner
  plugin    loading good and broken plugins              style    formatting, shell scripts
  vm        in a guest with a real sched_ext kernel      fuzz     each fuzzer for a fixed number of inputs
  sdk       as installed, used by plugins from outside

  --filter RE    only tests whose name matches
  --jobs N       tests at a time (default: $(nproc))

examples:
  ./dev test
  ./dev test unit plugin
  ./dev test vm --filter run
TEXT
}

cmd_test() {
	local guess filter='' jobs
	local -a labels=()
	jobs=$(nproc)
	while (($#)); do
		case $1 in
		--filter) need_value "$1" $# test && filter=$2 && shift ;;
		--jobs) need_value "$1" $# test && need_number "$1" "$2" test && jobs=$2 && shift ;;
		-*) usage_error "unknown option '$1'" test ;;
		*)
			if [[ " ${test_labels[*]} " != *" $1 "* ]]; then
				guess=$(nearest "$1" "${test_labels[@]}")
				usage_error "there is no label '$1'${guess:+; do you mean '$guess'?} (known: ${test_labels[*]})" test
			fi
			labels+=("$1")
			;;
		esac
		shift
	done
	if ((${#labels[@]} == 0)) && [[ $filter ]]; then
		ensure build vm test check
		test_tree dev -LE '^(bench|fuzz)$'
	elif ((${#labels[@]} == 0)); then
		test_all
	elif [[ ${labels[*]} == fuzz ]]; then
		ensure build test fuzz
		test_tree fuzz -L '^fuzz$'
	else
		[[ " ${labels[*]} " != *" fuzz "* ]] || usage_error "fuzz has a build of its own; name it alone" test
		ensure build vm test check
		test_tree dev -L "^($(IFS='|' && echo "${labels[*]}"))\$"
	fi
}

# What CI runs. The last lines are CTest's summary: of the sanitized part when that one failed, else of the rest.
test_all() {
	local log sanitized=0 status=0
	ensure build vm test check
	# Both builds first: what does not compile fails before anything runs.
	tree_build asan-ubsan
	tree_build dev
	log=$(mktemp "${TMPDIR:-/tmp}/scxhost-test.XXXXXX")
	# shellcheck disable=SC2064  # this file, whatever the variable is later
	trap "rm -f '$log'" EXIT
	test_tree asan-ubsan -L '^(unit|plugin)$' | tee "$log" || sanitized=$?
	(test_tree dev -LE '^(bench|fuzz)$') || status=$?
	if ((sanitized)); then
		say "Under the sanitizers:"
		sed -n '/tests passed,/,$p' "$log"
	fi
	exit $((status ? status : sanitized))
}

# test_tree PRESET CTEST-ARGUMENT...
test_tree() {
	local preset=$1
	shift
	tree_build "$preset"
	# Guests boot the default kernel; fetching it is no part of a test's time.
	if [[ $preset == dev ]]; then kernel_image "$(kernel_default)" >/dev/null || exit; fi
	say "Testing build/$preset"
	ctest --test-dir "$root/build/$preset" --output-on-failure --no-tests=error -j "$jobs" ${filter:+-R "$filter"} "$@"
}
