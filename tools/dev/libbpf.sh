# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# libbpf: the system's where pkg-config says that it is new enough, else our own static build from Debian's source
# package, in $cache/libbpf-VERSION, found through PKG_CONFIG_PATH.

# libbpf_minimum: from toolchain.list, where every minimum stands.
libbpf_minimum() { tool_minimum libbpf; }

# libbpf_ours: the newest build of our own that is new enough, and fit for a shared library: the testing kit is one.
libbpf_ours() {
	local dir minimum
	minimum=$(libbpf_minimum)
	for dir in "$cache"/libbpf-[0-9]*; do
		if [[ -e $dir/position-independent ]] && version_at_least "${dir##*/libbpf-}" "$minimum"; then echo "$dir"; fi
	done | sort -V | tail -n 1
}

# libbpf_env: exports PKG_CONFIG_PATH when the system's libbpf does not do; false when there is none at all.
libbpf_env() {
	local ours
	if pkg-config --exists "libbpf >= $(libbpf_minimum)" 2>/dev/null; then return; fi
	ours=$(libbpf_ours)
	[[ $ours ]] || return 1
	export PKG_CONFIG_PATH="$ours/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
}

# libbpf_setup: makes libbpf_env succeed.
libbpf_setup() {
	if libbpf_env; then return; fi
	with_lock libbpf libbpf_build || exit
	libbpf_env || die "libbpf $(libbpf_minimum) is still missing" "./dev setup"
}

libbpf_build() {
	local suite dir version minimum
	minimum=$(libbpf_minimum)
	if [[ $(libbpf_ours) ]]; then return; fi
	is_debian || die "libbpf $minimum or newer is needed, and pkg-config finds none" \
		"install it (or build it from its release), and set PKG_CONFIG_PATH when it is not in a standard folder"
	mkdir -p "$cache"
	for suite in forky sid; do
		(apt_index "$suite" deb-src) || continue
		dir=$(mktemp -d "$cache/.libbpf.XXXXXX")
		if step "Fetching libbpf's source from Debian $suite" libbpf_fetch "$suite" "$dir"; then
			version=$(find "$dir" -name 'libbpf_*.orig.tar.*' -printf '%f\n' | sed 's/^libbpf_\(.*\)\.orig\.tar\..*/\1/')
			if version_at_least "$version" "$minimum"; then
				step "Building libbpf $version" libbpf_install "$dir" "$cache/libbpf-$version" ||
					die "libbpf $version does not build" "read the lines above; ./dev setup tries again"
				rm -rf "$dir"
				return
			fi
			warn "Debian $suite has libbpf $version, and $minimum is needed"
		fi
		rm -rf "$dir"
	done
	die "no source of libbpf $minimum or newer could be fetched" "check the network, then ./dev setup"
}

# libbpf_fetch SUITE DIR: the upstream archive only; Debian's packaging is not used.
libbpf_fetch() {
	cd "$2" && apt_for "$1" apt-get source --download-only --tar-only --only-source libbpf
}

# libbpf_install DIR PREFIX: builds beside the final place and moves the result there in one step.
libbpf_install() (
	local dir=$1 prefix=$2
	set -e
	cd "$dir"
	mkdir source
	tar -xf libbpf_*.orig.tar.* -C source --strip-components=1
	# The kernel's headers go along: the system's may be older than what libbpf's own headers use.
	make -C source/src -j"$(nproc)" BUILD_STATIC_ONLY=1 OBJDIR="$dir/objects" DESTDIR="$dir/stage" PREFIX="$prefix" \
		LIBDIR="$prefix/lib" CFLAGS='-g -O2 -fPIC' install install_uapi_headers
	# There is no shared library, so what libbpf itself needs is needed by all who link it.
	sed -i 's/^Requires\.private:/Requires:/' "$dir/stage$prefix/lib/pkgconfig/libbpf.pc"
	touch "$dir/stage$prefix/position-independent"
	rm -rf "$prefix" # an older build, which was not
	mv -T "$dir/stage$prefix" "$prefix"
)
