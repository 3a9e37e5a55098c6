# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For the shell tests: checks that say what was wrong, a folder that goes away, and the choice of a case by its name.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$(mktemp -d "${TMPDIR:-/tmp}/scxhost-test.XXXXXX")
trap 'rm -rf "$dir"' EXIT

fail() {
	printf 'FAILED: %s\n' "$*" >&2
	exit 1
}

# equal WHAT ACTUAL EXPECTED
equal() { [[ $2 == "$3" ]] || fail "$1 is '$2', expected '$3'"; }

# contains WHAT FILE TEXT
contains() { grep -qF -- "$3" "$2" || fail "$1 has no '$3'; it is: $(head -c 4000 "$2")"; }

lacks() { ! grep -qF -- "$3" "$2" || fail "$1 has '$3'; it is: $(head -c 4000 "$2")"; }

# wait_for SECONDS WHAT COMMAND...: until COMMAND succeeds.
wait_for() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		((SECONDS < deadline)) || fail "waited in vain for $what"
		sleep 0.1
	done
}

# run_case NAME: calls the function test_NAME.
run_case() {
	declare -F "test_${1:-}" >/dev/null || fail "usage: $0 $(declare -F | sed -n 's/^declare -f test_//p' | paste -sd'|')"
	"test_$1"
}
