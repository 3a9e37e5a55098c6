# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

test_labels=(unit plugin vm sdk tools package style fuzz sanitized threads)

help_test() {
	cat <<TEXT
usage: ./dev test [LABEL]... [--filter RE] [--jobs N] [--kernel V]

Builds and tests. Without LABEL and --filter: all that CI runs, which is a build of what is installed with g++ and warnings
as errors, unit and plugin tests under the address and undefined-behaviour sanitizers, the fuzzers, then everything else
but threads. There, and with --kernel all, guests run what would be installed (build/release-strict); otherwise the dev
build, which is made sooner and runs slower. Ends with CTest's summary.

  unit      the host's parts; no root, no kernel         tools    this script and the guest runner
  plugin    loading good and broken plugins              style    formatting, shell scripts, which room includes which
  vm        in a guest with a real sched_ext kernel      fuzz     each fuzzer for a fixed number of inputs
  sdk       as installed, used by plugins from outside   package  the packages for Debian, and their life in a guest

Each of these has a build of its own, and is named alone:

  fuzz       build/fuzz
  sanitized  unit, plugin and a group of guest tests under the address and undefined-behaviour sanitizers (build/asan-ubsan)
  threads    the tests of what runs on several threads under the thread sanitizer (build/tsan)

  --filter RE    only tests whose name matches
  --jobs N       tests at a time (default: $(nproc))
  --kernel V     what the tests in a guest boot, as for ./dev vm: a series or release of kernels.list, the path of an
                 image, or all: each kernel in turn, with a table at the end (default: $(kernel_default))

examples:
  ./dev test
  ./dev test unit plugin
  ./dev test vm --filter run
  ./dev test vm --kernel all
TEXT
}

cmd_test() {
	local guess filter='' jobs kernel=''
	local -a labels=()
	jobs=$(nproc)
	while (($#)); do
		case $1 in
		--filter) need_value "$1" $# test && filter=$2 && shift ;;
		--jobs) need_value "$1" $# test && need_number "$1" "$2" test && jobs=$2 && shift ;;
		--kernel) need_value "$1" $# test && kernel=$2 && shift ;;
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
	if [[ $kernel ]]; then
		[[ ${labels[*]} == vm || ${labels[*]} == "" ]] || usage_error "--kernel is for the tests in a guest: vm" test
		ensure build vm test
		if [[ $kernel == all ]]; then test_on_all; else SCX_KERNEL=$kernel test_tree dev -L '^vm$'; fi
	elif ((${#labels[@]} == 0)) && [[ $filter ]]; then
		ensure_tests
		test_tree dev -LE '^(bench|fuzz|sanitized)$'
	elif ((${#labels[@]} == 0)); then
		test_all
	elif [[ ${labels[*]} == fuzz ]]; then
		ensure build test fuzz
		test_fuzz
	elif [[ ${labels[*]} == sanitized ]]; then
		ensure build vm test fuzz
		test_sanitized
	elif [[ ${labels[*]} == threads ]]; then
		ensure build test fuzz
		test_threads
	else
		for guess in fuzz sanitized threads; do
			[[ " ${labels[*]} " != *" $guess "* ]] || usage_error "$guess has a build of its own; name it alone" test
		done
		ensure_tests
		test_tree dev -L "^($(IFS='|' && echo "${labels[*]}"))\$"
	fi
}

# ensure_tests [PURPOSE]...: what all tests take; packages are built where they are for.
ensure_tests() {
	local -a packages=()
	if is_debian; then packages=(package packtest); fi
	ensure build vm test check "${packages[@]}" "$@"
}

# What CI runs. The last lines are CTest's summary: of the sanitized part when that one failed, else of the rest.
test_all() {
	local log sanitized=0 fuzzed=0 status=0
	ensure_tests fuzz
	# All builds first: what does not compile fails before anything runs.
	install_from_release
	tree_build asan-ubsan
	tree_build fuzz fuzzers
	tree_build dev
	log=$(mktemp "${TMPDIR:-/tmp}/scxhost-test.XXXXXX")
	# shellcheck disable=SC2064  # this file, whatever the variable is later
	trap "rm -f '$log'" EXIT
	test_tree asan-ubsan -L '^(unit|plugin)$' | tee "$log" || sanitized=$?
	(test_fuzz) || fuzzed=$?
	(test_tree dev -LE '^(bench|fuzz)$') || status=$?
	if ((sanitized)); then
		say "Under the sanitizers:"
		sed -n '/tests passed,/,$p' "$log"
	fi
	if ((fuzzed)); then warn "a fuzzer failed: ./dev test fuzz"; fi
	exit $((status ? status : sanitized ? sanitized : fuzzed))
}

# What guests run is what would be installed: optimized, and g++'s, unlike the rest.
install_from_release() {
	tree_build release-strict
	export SCX_INSTALL_FROM=$root/build/release-strict
}

# What runs on this machine runs in the sanitizers' tree; in a guest one group of tests meets the scxhost from there.
test_sanitized() {
	local status=0
	tree_build asan-ubsan
	(test_tree asan-ubsan -L '^(unit|plugin)$') || status=$?
	(test_tree dev -L '^sanitized$') || status=$?
	return "$status"
}

# The tests whose names say that threads are what they are about; the whole takes the thread sanitizer many minutes.
test_threads() {
	tree_build tsan unit_tests
	say "Testing build/tsan"
	# It does not see that pthread_clockjoin_np() has joined a thread.
	export TSAN_OPTIONS=report_thread_leaks=0
	ctest_in tsan -L '^unit$' -R '^(BackgroundWorker|FileWatcher|Output|PluginThread|Thread)'
}

# The fuzzers' tree holds nothing else that is worth the time to build.
test_fuzz() {
	tree_build fuzz fuzzers
	say "Testing build/fuzz"
	ctest_in fuzz -L '^fuzz$'
}

# test_on_all: the tests in a guest on every kernel of the list, then a table; false when one failed. What a kernel is
# declared not to be able to do, the tests pass over by themselves.
test_on_all() {
	local series started result failed=0 format='%-10s %-8s %6s\n'
	local -a table=()
	install_from_release
	while read -r -u 3 series; do
		started=$SECONDS result=ok
		(SCX_KERNEL=$series test_tree dev -L '^vm$') 3<&- || result=failed failed=1
		# shellcheck disable=SC2059
		table+=("$(printf "$format" "$(kernel_cached "$series")" "$result" "$((SECONDS - started)) s")")
	done 3< <(kernel_series)
	# shellcheck disable=SC2059
	printf "\n$format" kernel result time
	printf '%s\n' "${table[@]}"
	return "$failed"
}

# test_tree PRESET CTEST-ARGUMENT...: SCX_KERNEL names what guests boot.
test_tree() {
	local preset=$1
	shift
	tree_build "$preset"
	# Fetching a kernel is no part of a test's time.
	if [[ $preset == dev ]]; then
		export SCX_KERNEL=${SCX_KERNEL:-$(kernel_default)}
		kernel_image "$SCX_KERNEL" >/dev/null || exit
	fi
	say "Testing build/$preset"
	ctest_in "$preset" "$@"
}

# ctest_in PRESET CTEST-ARGUMENT...
ctest_in() {
	local preset=$1
	shift
	ctest --test-dir "$root/build/$preset" --output-on-failure --no-tests=error -j "$jobs" ${filter:+-R "$filter"} "$@"
}
