# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What ./dev run and ./dev vm share: getting everything ready for a guest, and running a command on all kernels.

default_preset=${SCXHOST_PRESET:-dev}

# guest_ready PRESET COMMAND: tools, build, stage; sets $stage.
guest_ready() {
	check_preset "$1" "$2"
	if [[ $1 == release ]]; then ensure build vm; else ensure build vm test; fi
	tree_build "$1" installed
	stage=$(tree_stage "$1") || exit
}

# guest_on_all: runs "${cmd[@]}" with "${options[@]}" on every kernel of the list, then prints a table; false when one
# failed. A kernel whose declared defect CMD's own error names counts as expected.
guest_on_all() {
	local series child status started result release note failed=0 stopped='' format='%-10s %-8s %6s  %s\n'
	local -a table=()
	all_logs=$(mktemp -d "${TMPDIR:-/tmp}/scxhost-all.XXXXXX")
	trap 'rm -rf "$all_logs"' EXIT
	# Each guest has a process group of its own, so that Ctrl-C reaches it once, through here, as a signal to ./dev does.
	trap 'stopped=130; kill -INT "$child" 2>/dev/null || true' INT
	trap 'stopped=143; kill -TERM "$child" 2>/dev/null || true' TERM
	while read -r -u 3 series; do
		started=$SECONDS status=0
		set -m
		"$tools/vm/run-guest" "${options[@]}" --log-dir "$all_logs/$series" --kernel "$series" --stage "$stage" -- "${cmd[@]}" </dev/null 3<&- &
		child=$!
		set +m
		while kill -0 "$child" 2>/dev/null; do
			status=0
			wait "$child" || status=$?
		done
		result=ok note=
		if ((status)); then
			result=failed note=$(guest_note "$all_logs/$series")
			if kernel_has_flag "$series" btf-kfuncs && grep -qsF "$btf_defect" "$all_logs/$series/stderr.log"; then result=defect; else failed=1; fi
		fi
		release=$(kernel_cached "$series")
		# shellcheck disable=SC2059
		table+=("$(printf "$format" "${release:-$series}" "$result" "$((SECONDS - started)) s" "$note")")
		if [[ $stopped ]]; then break; fi
	done 3< <(kernel_series)
	# shellcheck disable=SC2059
	printf "\n$format" kernel result time note
	printf '%s\n' "${table[@]}"
	if [[ $stopped ]]; then exit "$stopped"; fi
	return "$failed"
}

# What scxhost says when a kfunc that the policy needs is malformed in the kernel build.
btf_defect="malformed in this kernel's BTF"

# guest_note DIR: one line that says why a guest failed: the guest's own end, the declared defect, or CMD's last error.
guest_note() {
	local stderr="$1/stderr.log"
	if [[ -s $1/failure ]]; then
		head -n 1 "$1/failure"
	elif [[ -s $stderr ]]; then
		{ grep -F -m 1 "$btf_defect" "$stderr" || grep -i 'error' "$stderr" || grep '[^[:space:]]' "$stderr" || true; } |
			tail -n 1 | tr -cd '[:print:]' | cut -c -400
	fi
}
