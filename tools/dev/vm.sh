# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

help_vm() {
	cat <<TEXT
usage: ./dev vm [OPTION]... [-- CMD [ARG]...]

Builds, boots a guest with scxhost, its plugins and configs installed (/usr/bin, /usr/lib/scxhost/plugins,
/usr/share/scxhost/configs), and runs CMD in it as root. stdout carries CMD's output only; CMD's exit status is the
exit status. Without CMD: a shell.

  --kernel V        series or release of kernels.list, path of an image, or all: every supported kernel in turn, with a
                    table of the results at the end (default: $(kernel_default))
  --cpus N          virtual CPUs (default: 2)           --threads N    threads per core (default: 1)
  --sockets N       packages, each with a last-level cache (default: 1)
  --memory M        such as 512M or 2G (default: 1G)    --icount       the clock counts instructions
  --add PATH        copy a file or folder to /root; may be repeated
  --timeout S       end the guest after S seconds (0: never; default: 600, with a terminal 0)
  --check-log       fail on warnings and sched_ext errors in the kernel's log; --expect-log RE allows what matches
  --append PARAM    kernel parameter
  --log-dir DIR     keep the console's and the kernel's log there
  --preset P        take this build (default: $default_preset; the environment's SCXHOST_PRESET)
  --quiet           no messages of our own unless something fails

Exit status: CMD's; 123 when only the kernel's log is bad, 124 at the time limit, 125 when the guest crashed.

examples:
  ./dev vm                                                       a shell
  ./dev vm -- scxhost run /usr/share/scxhost/configs/simple.toml --for 3s
  ./dev vm --kernel all -- scxhost info
  ./dev vm --cpus 4 --threads 2 --add my-test -- ./my-test
TEXT
}

cmd_vm() {
	local preset=$default_preset kernel='' stage
	local -a options=() cmd=()
	while (($#)); do
		case $1 in
		--kernel) need_value "$1" $# vm && kernel=$2 && shift ;;
		--preset) need_value "$1" $# vm && preset=$2 && shift ;;
		--cpus | --threads | --sockets | --memory | --add | --timeout | --append | --expect-log | --log-dir)
			need_value "$1" $# vm
			options+=("$1" "$2")
			shift
			;;
		--icount | --check-log | --quiet) options+=("$1") ;;
		--) shift && cmd=("$@") && break ;;
		-*) usage_error "unknown option '$1'" vm ;;
		*) usage_error "'$1' is no option; the guest's command comes after --" vm ;;
		esac
		shift
	done
	[[ $kernel != all || ${#cmd[@]} -gt 0 ]] || usage_error "--kernel all needs a command" vm
	guest_ready "$preset" vm
	if [[ $kernel == all ]]; then
		guest_on_all
	else
		options+=(--kernel "${kernel:-$(kernel_default)}" --stage "$stage")
		if ((${#cmd[@]})); then options+=(-- "${cmd[@]}"); fi
		exec "$tools/vm/run-guest" "${options[@]}"
	fi
}
