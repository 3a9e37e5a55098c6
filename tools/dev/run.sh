# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

help_run() {
	cat <<TEXT
usage: ./dev run [CONFIG] [OPTION]... [-- ARG...]

Builds, boots a guest with a load of busy, sleeping and forking tasks, and runs \`scxhost run CONFIG\` in it until Ctrl-C.
CONFIG is a file of this machine (default: ${run_default#"$root"/}); it is copied to the guest. ARGs are passed on to
\`scxhost run\`. The exit status is scxhost's. The scheduler of this machine is not touched.

  --for TIME        end by itself, such as 10s or 5m
  --kernel V        series or release of kernels.list, or path of an image (default: $(kernel_default))
  --cpus N          virtual CPUs (default: 2)          --threads N    threads per core
  --memory M        such as 512M or 2G (default: 1G)   --icount       the clock counts instructions
  --add PATH        copy a file or folder to /root, CONFIG's folder in the guest; may be repeated. Plugins there are found
  --no-load         no tasks but scxhost's own
  --preset P        take this build (default: $default_preset; with --native: release)
  --native          no guest: run it on this machine, as root; its scheduler IS replaced meanwhile

examples:
  ./dev run
  ./dev run configs/simple.toml --for 10s
  ./dev run my.toml --add build/lib/scxhost/plugins/my.so
  ./dev run configs/qmap.toml --cpus 4 --kernel 6.16 -- --set slice=5ms
TEXT
}

run_default=$root/configs/qmap.toml
if [[ ! -e $run_default ]]; then run_default=$root/configs/simple.toml; fi

cmd_run() {
	local preset='' config='' kernel='' native='' load=1 stage
	local -a options=() host_args=() guest_only=()
	while (($#)); do
		case $1 in
		--for) need_value "$1" $# run && host_args+=(--for "$2") && shift ;;
		--kernel) need_value "$1" $# run && kernel=$2 && guest_only+=("$1") && shift ;;
		--preset) need_value "$1" $# run && preset=$2 && shift ;;
		--cpus | --threads | --memory | --add)
			need_value "$1" $# run
			options+=("$1" "$2")
			guest_only+=("$1")
			shift
			;;
		--icount) options+=("$1") && guest_only+=("$1") ;;
		--no-load) load='' ;;
		--native) native=1 ;;
		--) shift && host_args+=("$@") && break ;;
		-*) usage_error "unknown option '$1' (scxhost's own come after --)" run ;;
		*)
			[[ ! $config ]] || usage_error "two configs: '$config' and '$1'" run
			config=$1
			;;
		esac
		shift
	done
	config=${config:-$run_default}
	[[ -f $config && -r $config ]] ||
		die "there is no readable config '$config'" "choose one of: $(cd "$root" && echo configs/*.toml)" 2
	if [[ $kernel == all ]]; then usage_error "--kernel all is for ./dev vm" run; fi
	if [[ $native ]]; then
		if ((${#guest_only[@]})); then usage_error "--native has no guest for ${guest_only[*]}" run; fi
		run_native
	fi
	preset=${preset:-$default_preset}
	if [[ $preset == release && $config == *tests/programs/* ]]; then
		die "the preset release builds no program of tests/" "leave --preset out" 2
	fi
	guest_ready "$preset" run
	options+=(--kernel "${kernel:-$(kernel_default)}" --stage "$stage" --add "$config" --timeout 0)
	# What tests/programs/example.toml hosts.
	local file
	if [[ $config == *tests/programs/* ]]; then
		tree_build "$preset" scheduler example_objects
		for file in scx_example example.bpf.o; do options+=(--add "$root/build/$preset/tests/programs/$file"); done
	fi
	if [[ $load ]]; then
		options+=(--add "$root/build/$preset/tools/load/scx-load" --add "$tools/load/start-load")
		load="/root/start-load \"\$1\" & "
	fi
	# The load is ended with the guest. A shell's background job ignores Ctrl-C, and so does not go before scxhost.
	exec "$tools/vm/run-guest" "${options[@]}" -- sh -c "${load}exec scxhost run \"\$@\"" sh "/root/${config##*/}" --plugin-dir /root "${host_args[@]}"
}

# run_native: the staged program on this machine.
run_native() {
	preset=${preset:-release}
	[[ $(id -u) -eq 0 ]] || die "--native attaches a scheduler to this machine, which takes root" \
		"sudo ./dev run --native ..., or leave --native out: a guest needs no rights"
	check_preset "$preset" run
	ensure build
	tree_build "$preset" installed
	stage=$(tree_stage "$preset") || exit
	warn "this machine's scheduler is replaced until Ctrl-C"
	exec "$stage/usr/bin/scxhost" run "$config" "${host_args[@]}"
}
