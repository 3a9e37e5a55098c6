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
	local archive version
	if [[ $(libbpf_ours) ]]; then return; fi
	libbpf_archive_fetch
	archive=$(libbpf_archive)
	version=$(libbpf_archive_version "$archive")
	step "Building libbpf $version" libbpf_install "$archive" "$cache/libbpf-$version" ||
		die "libbpf $version does not build" "read the lines above; ./dev setup tries again"
}

# libbpf_install ARCHIVE PREFIX: builds beside the final place and moves the result there in one step.
libbpf_install() (
	dir=$(mktemp -d "$cache/.libbpf.XXXXXX") || exit
	trap 'rm -rf "$dir"' EXIT
	mkdir "$dir/source" &&
		tar -xf "$1" -C "$dir/source" --strip-components=1 &&
		CFLAGS='' "$tools/dev/build-libbpf" "$dir/source" "$dir/objects" "$2" "$dir/stage" &&
		touch "$dir/stage$2/position-independent" &&
		rm -rf "$2" && # an older build, which was not
		mv -T "$dir/stage$2" "$2"
)

# libbpf_archive: the path of upstream's source, as Debian has it, that is here and new enough; nothing where none is.
libbpf_archive() {
	local file minimum
	minimum=$(libbpf_minimum)
	for file in "$cache"/libbpf-source/libbpf_*.orig.tar.*; do
		if [[ -e $file ]] && version_at_least "$(libbpf_archive_version "$file")" "$minimum"; then echo "$file"; fi
	done | sort -V | tail -n 1
}

libbpf_archive_version() {
	local name=${1##*/libbpf_}
	echo "${name%.orig.tar.*}"
}

# libbpf_archive_setup: makes libbpf_archive find one.
libbpf_archive_setup() { with_lock libbpf libbpf_archive_fetch || exit; }

libbpf_archive_fetch() {
	local suite dir minimum version
	minimum=$(libbpf_minimum)
	if [[ $(libbpf_archive) ]]; then return; fi
	is_debian || die "libbpf $minimum or newer is needed, and pkg-config finds none" \
		"install it (or build it from its release), and set PKG_CONFIG_PATH when it is not in a standard folder"
	mkdir -p "$cache/libbpf-source"
	for suite in forky sid; do
		(apt_index "$suite" deb-src) || continue
		dir=$(mktemp -d "$cache/.libbpf.XXXXXX")
		if step "Fetching libbpf's source from Debian $suite" libbpf_fetch "$suite" "$dir"; then
			version=$(libbpf_archive_version "$(find "$dir" -name 'libbpf_*.orig.tar.*' -print -quit)")
			if version_at_least "$version" "$minimum"; then
				mv "$dir"/libbpf_*.orig.tar.* "$cache/libbpf-source/"
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
