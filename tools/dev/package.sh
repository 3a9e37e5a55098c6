# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash

help_package() {
	cat <<TEXT
usage: ./dev package [--to FOLDER]

Builds the packages for Debian in build/package or FOLDER, from the files of this checkout as they are, and prints their
paths: scxhost (the host, its service and policies), libscxhost-dev (for authors of plugins), scxhost-guest (the guest
runner) and the debug symbols of each. The source package lies beside them. Once what is needed is installed, the build has
no network. A commit without a tag has a version below the release's, by its date. packaging/README.md has the recipes of
other distributions.

dpkg-buildflags(1) and dpkg-buildpackage(1) name the variables of the environment that change how it is built, such as
DEB_BUILD_OPTIONS, and \$CC and \$CXX are used where they are set.

examples:
  ./dev package
  ./dev package && sudo apt install ./build/package/scxhost_*.deb
TEXT
}

cmd_package() {
	local package_dir=$root/build/package
	while (($#)); do
		case $1 in
		--to) need_value "$1" $# package && package_dir=$(realpath -m "$2") && shift ;;
		*) usage_error "unknown argument '$1'" package ;;
		esac
		shift
	done
	is_debian || die "packages for Debian are built on Debian" "packaging/README.md has the recipes for other distributions"
	ensure build package
	libbpf_archive_setup
	with_lock "package-$(md5sum <<<"$package_dir" | cut -c -12)" package_locked || exit
}

package_locked() {
	if [[ -e $package_dir && ! -e $package_dir/build.log ]]; then
		rmdir "$package_dir" 2>/dev/null || die "$package_dir has files that are none of ./dev package's" "name another folder"
	fi
	rm -rf "$package_dir"
	mkdir -p "$package_dir"
	: >"$package_dir/build.log"
	package_source || die "the source could not be put together" "read the lines above; disk space in $package_dir is a usual cause"
	step "Building the packages of version $(package_version)" package_build ||
		die "the packages could not be built" "read $package_dir/build.log"
	say "Packages: $package_dir"
	find "$package_dir" -maxdepth 1 -name '*.deb' | sort
}

# package_version: Debian's version of the package: the newest in packaging/debian/changelog, and of a commit that is no
# release one below it, by the commit's date.
package_version() {
	local version
	version=$(dpkg-parsechangelog -l "$root/packaging/debian/changelog" -S Version)
	if package_is_snapshot "${version%-*}"; then
		echo "${version%-*}~git$(date -u -d "@$(git -C "$root" log -1 --format=%ct)" +%Y%m%d.%H%M%S)-${version##*-}"
	else
		echo "$version"
	fi
}

# package_is_snapshot RELEASE: this is a checkout, and not of that release.
package_is_snapshot() {
	package_is_checkout && ! git -C "$root" tag --points-at HEAD | grep -qxF "v$1"
}

package_is_checkout() { [[ -e $root/.git ]] && git -C "$root" rev-parse HEAD >/dev/null 2>&1; }

# package_files: what belongs to the source, NUL-ended: not what was built.
package_files() {
	cd "$root" || return
	if package_is_checkout; then
		git ls-files -z --cached --others --exclude-standard
	else
		find . -path './build*' -prune -o \( -type f -o -type l \) -printf '%P\0'
	fi | while IFS= read -r -d '' file; do
		if [[ -e $file ]]; then printf '%s\0' "$file"; fi
	done
}

# package_changelog: the recipe's; where this is no release yet, its newest entry has the commit's version and date.
package_changelog() {
	local recipe=$root/packaging/debian/changelog version date
	version=$(package_version)
	if [[ $version == "$(dpkg-parsechangelog -l "$recipe" -S Version)" ]]; then
		cat "$recipe"
	else
		date=$(LC_ALL=C date -u -R -d "@$(git -C "$root" log -1 --format=%ct)")
		sed -e "1s/(.*)/($version)/" -e "0,/^ -- /s/^\( -- .*>\)  .*/\1  $date/" "$recipe"
	fi
}

# package_source: upstream's archives as dpkg-source wants them, libbpf's beside ours, and the folder made of both. All
# dates are the changelog's.
package_source() {
	local upstream libbpf date source=$package_dir/source
	upstream=$(package_version)
	upstream=$package_dir/scxhost_${upstream%-*}
	libbpf=$(libbpf_archive)
	mkdir -p "$source/libbpf" &&
		cp "$libbpf" "$upstream.orig-libbpf.tar.${libbpf##*.}" &&
		tar -xf "$libbpf" -C "$source/libbpf" --strip-components=1 &&
		cp -a "$root/packaging/debian" "$source/debian" &&
		package_changelog >"$source/debian/changelog" &&
		date=@$(dpkg-parsechangelog -l "$source/debian/changelog" -S Timestamp) &&
		chmod -R u+rwX,go=rX "$source/debian" &&
		find "$source/debian" -exec touch -d "$date" {} + &&
		package_files | tar -c -C "$root" --null --files-from=- --sort=name --owner=0 --group=0 --numeric-owner \
			--mode=u+rw,go=rX --mtime="$date" \
			--transform='flags=r;s,^,scxhost/,' | gzip -9n >"$upstream.orig.tar.gz" &&
		tar -xf "$upstream.orig.tar.gz" -C "$source" --strip-components=1
}

# package_build: in a folder of the same name for every version, so that the compiler cache finds the files of the last
# one. Paths are not made relative for it: they would end up in the debug symbols, where a build without a cache has others.
package_build() (
	offline=()
	for how in --map-current-user ''; do
		if unshare ${how:+"$how"} --net true 2>/dev/null; then offline=(unshare ${how:+"$how"} --net); fi
	done
	unset PKG_CONFIG_PATH CCACHE_BASEDIR CCACHE_NOHASHDIR
	if use_ccache; then
		# debhelper gives the build a home of its own.
		CCACHE_DIR=$(ccache --get-config cache_dir)
		export CCACHE_DIR
	fi
	set -o pipefail
	cd "$package_dir/source" && "${offline[@]}" dpkg-buildpackage --no-sign --jobs="$(nproc)" 2>&1 | tee "$package_dir/build.log"
)
