# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The kernels that guests boot: kernels.list says which, Debian's archive has them, $cache/kernels keeps their images as
# vmlinuz-RELEASE and their configurations as config-RELEASE. A name in that folder is always a complete file.

kernels_dir=$cache/kernels

# kernel_rows: the list without comments, one row a line.
kernel_rows() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/kernels.list"; }

kernel_series() { kernel_rows | awk '{ print $1 }'; }

kernel_default() { kernel_rows | awk '$5 ~ /(^|,)default(,|$)/ { print $1 }'; }

# kernel_row SERIES
kernel_row() { kernel_rows | awk -v series="$1" '$1 == series'; }

# kernel_has_flag SERIES FLAG
kernel_has_flag() { kernel_row "$1" | awk -v flag="$2" '{ n = split($5, f, ","); for (i = 1; i <= n; i++) if (f[i] == flag) found = 1 } END { exit !found }'; }

# kernel_series_of NAME: the row that a --kernel value (series or release) belongs to; dies when there is none.
kernel_series_of() {
	local name=$1 series
	while read -r series; do
		if [[ $name == "$series" || $name =~ ^"$series"\.[0-9]+$ ]]; then
			echo "$series"
			return
		fi
	done < <(kernel_series)
	die "kernel '$name' is not in kernels.list" "choose one of: $(kernel_series | tr '\n' ' ')all, or give the path of a kernel image"
}

# kernel_cached SERIES: the newest release of SERIES that is in the cache.
kernel_cached() {
	local file
	for file in "$kernels_dir/vmlinuz-$1".*; do
		if [[ -e $file ]]; then echo "${file##*/vmlinuz-}"; fi
	done | sort -V | tail -n 1
}

# kernel_available SERIES: the releases of SERIES in the index, oldest first.
kernel_available() {
	local series=$1 suite package before after
	read -r _ _ suite package _ < <(kernel_row "$series")
	before=${package%%@*} after=${package#*@}
	apt_for "$suite" apt-cache pkgnames "$before$series." | while read -r package; do
		package=${package#"$before"}
		if [[ $package == *"$after" && ${package%"$after"} =~ ^[0-9.]+$ ]]; then echo "${package%"$after"}"; fi
	done | sort -V
}

# kernel_image NAME: prints the path of an image for a --kernel value: a file's path, a release, or a series. For a
# series this is the newest release in the cache; when there is none, or $refresh is 1, the newest in the archive.
kernel_image() {
	local name=$1 series cached
	if [[ $name == */* ]]; then
		[[ -r $name ]] || die "there is no readable kernel image $name" "give a vmlinuz file, or a series of kernels.list"
		realpath "$name"
		return
	fi
	series=$(kernel_series_of "$name") || exit
	if [[ $name != "$series" && -e $kernels_dir/vmlinuz-$name ]]; then
		echo "$kernels_dir/vmlinuz-$name"
		return
	fi
	cached=$(kernel_cached "$series")
	if [[ $name == "$series" && -n $cached && ${refresh:-} != 1 ]]; then
		echo "$kernels_dir/vmlinuz-$cached"
		return
	fi
	with_lock "kernel-$series" kernel_fetch "$series" "$name"
}

# kernel_fetch SERIES NAME: downloads what NAME means now, if it is not here yet, and prints the image's path.
kernel_fetch() {
	local series=$1 name=$2 suite tested package release dir
	read -r _ tested suite package _ < <(kernel_row "$series")
	if ! is_debian; then
		die "kernel $series is not in $kernels_dir, and only Debian's archive is known to have it" \
			"take vmlinuz from Debian's package ${package/@/$tested} ($suite) and give its path: --kernel /path/vmlinuz"
	fi
	apt_index "$suite" deb || exit
	if [[ $name != "$series" ]] && kernel_available "$series" | grep -qxF "$name"; then
		release=$name
	else
		release=$(kernel_available "$series" | tail -n 1)
		[[ $release ]] || die "Debian $suite no longer has a kernel of series $series" \
			"./dev setup --refresh; if it stays so, choose another series: $(kernel_series | tr '\n' ' ')"
		if [[ $name != "$series" ]]; then warn "kernel $name left the archive; taking $release, the newest of $series"; fi
	fi
	if [[ $release != "$tested" ]]; then say "Kernel $release is the newest of $series; scxhost was tested with $tested"; fi
	# The image comes last: one that is there has its configuration beside it, unless that could not be had at the time.
	if [[ ! -e $kernels_dir/vmlinuz-$release || (${refresh:-} == 1 && ! -e $kernels_dir/config-$release) ]]; then
		mkdir -p "$kernels_dir"
		dir=$(mktemp -d "$kernels_dir/.fetch.XXXXXX")
		if ! step "Fetching kernel $release" kernel_unpack "$suite" "${package/@/$release}" "$dir"; then
			rm -rf "$dir"
			die "kernel $release could not be fetched" "check the network, then run it again; a cached one: --kernel RELEASE ($(cd "$kernels_dir" && echo vmlinuz-*))"
		fi
		if [[ -e $dir/config ]]; then mv "$dir/config" "$kernels_dir/config-$release"; fi
		mv "$dir/vmlinuz" "$kernels_dir/vmlinuz-$release"
		rm -rf "$dir"
	fi
	echo "$kernels_dir/vmlinuz-$release"
}

# kernel_config IMAGE: prints the path of the configuration that IMAGE was built with; nothing where none is known.
kernel_config() {
	local config
	config=$(dirname "$1")/config-${1##*/vmlinuz-}
	if [[ -r $config ]]; then echo "$config"; fi
}

# kernel_unpack SUITE PACKAGE DIR: DIR/vmlinuz and, if the archive still has it, DIR/config. An image lies in boot/ of its package or, since 7.2, among the
# modules; its configuration likewise, or, where the package is linux-binary-…, in linux-base-….
kernel_unpack() {
	local suite=$1 package=$2 dir=$3 deb config
	(cd "$dir" && apt_for "$suite" apt-get download "$package") || return
	if [[ $package == linux-binary-* ]]; then
		(cd "$dir" && apt_for "$suite" apt-get download "${package/#linux-binary-/linux-base-}") ||
			echo "It is not there any more; this kernel's guests do without their configuration."
	fi
	for deb in "$dir"/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --exclude='*.ko*' || return
	done
	mv "$(find "$dir" -type f -name 'vmlinuz*' -size +1M | head -n 1)" "$dir/vmlinuz" || return
	config=$(find "$dir" -type f \( -path '*/boot/config-*' -o -path '*/modules/*/config' \) | head -n 1)
	if [[ $config ]]; then mv "$config" "$dir/config"; fi
}
