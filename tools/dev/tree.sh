# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Build trees (build/PRESET) and the installation staged from one (build/PRESET/stage).

presets=(dev release release-strict bench asan-ubsan tsan fuzz tidy)

# check_preset NAME COMMAND
check_preset() {
	if [[ " ${presets[*]} " != *" $1 "* ]]; then
		local guess
		guess=$(nearest "$1" "${presets[@]}")
		usage_error "there is no preset '$1'${guess:+; do you mean '$guess'?} (known: ${presets[*]})" "$2"
	fi
}

# tree_configure PRESET: once, and again when what ./dev passes through the environment has changed. CMake itself
# notices changed files.
tree_configure() {
	local preset=$1 dir="$root/build/$1" inputs
	local -x CC CXX
	read -r CC CXX < <(tree_compilers "$preset")
	# Another checkout of the same source shares it but for what clang compiles with a precompiled header, whose path counts.
	if use_ccache; then export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1; fi
	inputs="${PKG_CONFIG_PATH:-} ${CMAKE_CXX_COMPILER_LAUNCHER:-} $CC $CXX $(md5sum <"$root/CMakePresets.json")"
	if [[ -e $dir/build.ninja && $(cat "$dir/dev-inputs" 2>/dev/null) == "$inputs" ]]; then return; fi
	(cd "$root" && step "Configuring build/$preset" cmake --fresh --preset "$preset") ||
		die "build/$preset could not be configured" "read CMake's lines above; a missing library: ./dev setup"
	printf '%s\n' "$inputs" >"$dir/dev-inputs"
}

# use_ccache: has CMake compile through ccache where that is here. Precompiled headers do not shut the cache off, and what is
# not in it is not preprocessed first.
use_ccache() {
	have ccache || return
	export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache CCACHE_DEPEND=1
	export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
}

# tree_compilers PRESET: the C and the C++ compiler, if $CC and $CXX do not name them. clang takes half of g++'s time for
# the trees with tests, and has the fuzzer. What is installed is g++'s, as in distributions.
tree_compilers() {
	local clang
	if [[ ! ${CC:-}${CXX:-} && " dev asan-ubsan tsan fuzz tidy " == *" $1 "* ]] && clang=$(tool_program clang) &&
		have "${clang/clang/clang++}"; then
		echo "$clang ${clang/clang/clang++}"
	else
		echo "${CC:-cc} ${CXX:-c++}"
	fi
}

# tree_build PRESET [TARGET]...: ninja's own output, on stderr.
tree_build() {
	local preset=$1
	local -a targets=()
	shift
	if (($#)); then targets=(--target "$@"); fi
	tree_configure "$preset"
	say "Building build/$preset"
	cmake --build "$root/build/$preset" "${targets[@]}" >&2 || die "the build failed" "correct the errors above; one build at a time: ./dev build --preset $preset"
}

# tree_stage PRESET: installs the tree to build/PRESET/stage as a package would, and prints that path. A guest that is
# being put together meanwhile still sees a whole installation.
tree_stage() { with_lock "stage-$(md5sum <<<"$root/build/$1" | cut -c -12)" tree_stage_locked "$@"; }

tree_stage_locked() {
	local dir="$root/build/$1"
	rm -rf "$dir/stage.new" "$dir/stage.old"
	DESTDIR="$dir/stage.new" cmake --install "$dir" --strip >"$dir/stage.log" 2>&1 || {
		tail -n 20 "$dir/stage.log" >&2
		die "the installation could not be staged" "./dev build --preset $1"
	}
	if [[ -e $dir/stage ]]; then mv "$dir/stage" "$dir/stage.old"; fi
	mv "$dir/stage.new" "$dir/stage"
	rm -rf "$dir/stage.old"
	echo "$dir/stage"
}
