# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What every part of ./dev shares: where things are, how it talks to people, locks. All messages go to stderr, because
# stdout belongs to the command that somebody runs through ./dev.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/scxhost

if [[ -t 2 && -z ${NO_COLOR:-} && ${TERM:-dumb} != dumb ]]; then
	bold=$'\e[1m' red=$'\e[31m' yellow=$'\e[33m' green=$'\e[32m' dim=$'\e[2m' plain=$'\e[0m'
	live=1
else
	bold='' red='' yellow='' green='' dim='' plain=''
	live=
fi

say() { printf '%s\n' "$bold==>$plain $*" >&2; }
warn() { printf '%s\n' "${yellow}warning:$plain $*" >&2; }

# die MESSAGE [WHAT-TO-DO]: every failure says what to do next.
die() {
	printf '%s\n' "${red}error:$plain $1" >&2
	if [[ -n ${2:-} ]]; then printf '%s\n' "  ${bold}do:$plain $2" >&2; fi
	exit "${3:-1}"
}

# usage_error MESSAGE COMMAND: a wrong call, exit 2.
usage_error() { die "$1" "./dev $2 --help" 2; }

have() { command -v "$1" >/dev/null 2>&1; }

# need_value OPTION COUNT COMMAND: COUNT arguments are left, OPTION included; it takes a value.
need_value() { [[ $2 -ge 2 ]] || usage_error "$1 needs a value" "$3"; }

# need_number OPTION VALUE COMMAND
need_number() { [[ $2 =~ ^[1-9][0-9]*$ ]] || usage_error "$1 takes a positive number, not '$2'" "$3"; }

# step TITLE COMMAND...: runs a command that may take a while, its output in a log. Shows the title, on a terminal with
# the time that has passed; when it fails, the end of the log. The caller decides what to do about the failure.
step() {
	local title=$1 log status=0 start=$SECONDS ticker=
	shift
	log=$(mktemp "${TMPDIR:-/tmp}/scxhost-step.XXXXXX")
	say "$title"
	# The ticker is what runs in the background: the command stays in the foreground, where Ctrl-C reaches it.
	if [[ $live ]]; then
		tick "$log" $$ &
		ticker=$!
	fi
	"$@" >"$log" 2>&1 </dev/null || status=$?
	if [[ $ticker ]]; then
		kill "$ticker" 2>/dev/null || true
		wait "$ticker" 2>/dev/null || true
		printf '\r\e[K' >&2
	fi
	if ((status)); then
		printf '%s\n' "    failed after $((SECONDS - start)) s; the end of its output:" >&2
		tail -n 25 "$log" | sed 's/^/    | /' >&2
	fi
	rm -f "$log"
	return "$status"
}

# tick LOG PID: the time and the last line of LOG in one line of the terminal, until PID ends.
tick() {
	local start=$SECONDS
	sleep 2
	while kill -0 "$2" 2>/dev/null && [[ -e $1 ]]; do
		printf '\r    %s%d s  %s%s\e[K' "$dim" $((SECONDS - start)) "$(tail -n 1 "$1" | tr -cd '[:print:]' | cut -c -70)" "$plain" >&2
		sleep 0.5
	done
}

# with_lock NAME COMMAND...: one ./dev at a time does COMMAND; the others wait. The descriptor closes with the subshell,
# and a lock whose holder was killed is free at once.
with_lock() {
	local name=$1
	shift
	mkdir -p "$cache/locks"
	(
		if ! flock -n 9; then
			say "waiting for another ./dev that works on: $name"
			flock 9
		fi
		"$@"
	) 9>"$cache/locks/$name"
}

# nearest WORD CANDIDATE...: the candidate that is at most two edits away, if there is one.
nearest() {
	local word=$1 best='' limit=3 candidate distance
	shift
	for candidate; do
		distance=$(edits "$word" "$candidate")
		if ((distance < limit)) || [[ ${#word} -ge 2 && $candidate == "$word"* ]]; then
			best=$candidate limit=$((distance < limit ? distance : limit))
		fi
	done
	printf '%s' "$best"
}

# edits A B: how many letters to add, drop or change to get from one word to the other.
edits() {
	local a=$1 b=$2 i j best
	local -a row=() next
	for ((j = 0; j <= ${#b}; j++)); do row[j]=$j; done
	for ((i = 1; i <= ${#a}; i++)); do
		next=("$i")
		for ((j = 1; j <= ${#b}; j++)); do
			best=${row[j - 1]}
			[[ ${a:i-1:1} == "${b:j-1:1}" ]] || best=$((best + 1))
			((row[j] + 1 < best)) && best=$((row[j] + 1))
			((next[j - 1] + 1 < best)) && best=$((next[j - 1] + 1))
			next[j]=$best
		done
		row=("${next[@]}")
	done
	echo "${row[${#b}]}"
}

# version_at_least VERSION MINIMUM
version_at_least() { [[ $(printf '%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }
