# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The guest's root file system: busybox, our init, an installation of scxhost, added files, and the shared libraries
# that all of these name. One uncompressed cpio archive: unpacking a compressed one costs emulated time.

# image_base DIR: folders, busybox and init.
image_base() {
	local dir=$1 busybox
	busybox=$(command -v busybox) || die "busybox is missing" "./dev setup"
	if ldd "$busybox" >/dev/null 2>&1; then die "busybox is not a static one" "install busybox-static: ./dev setup"; fi
	mkdir -p "$dir"/{dev,proc,sys,run,tmp,root,etc,scx,usr/bin,usr/sbin,usr/lib,usr/lib64,var}
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$dir/"
	ln -s /run "$dir/var/run"
	cp "$busybox" "$dir/usr/bin/busybox"
	# Links to the program at the place where it was started, which is /bin or /usr/bin.
	"$busybox" --install -s "$dir/usr/bin"
	cp "$tools/init" "$dir/init"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$dir/etc/passwd"
	echo 'root:x:0:' >"$dir/etc/group"
}

# image_stage DIR STAGE: a folder with an installation in it (usr/bin/scxhost and so on).
image_stage() {
	cp -a --remove-destination "$2/." "$1/"
	image_libraries "$1" "$2"
}

# image_add DIR PATH: a file or a folder, to /root.
image_add() {
	cp -aL --remove-destination "$2" "$1/root/"
	image_libraries "$1" "$2"
}

# image_libraries DIR PATH: the shared libraries that the ELF files in PATH name, the dynamic linker among them.
image_libraries() {
	local dir=$1 file library missing
	while read -r file; do
		missing=$(ldd "$file" 2>/dev/null | awk '/=> not found/ { print $1 }')
		if [[ $missing ]]; then warn "$file needs ${missing//$'\n'/, }, which ldd does not find; it will not start in the guest"; fi
		ldd "$file" 2>/dev/null | awk '/=> \// { print $3 } /^\t\// { print $1 }'
	done < <(image_elf_files "$2") | sort -u | while read -r library; do
		if [[ ! -e $dir$library ]]; then
			mkdir -p "$dir$(dirname "$library")"
			cp -L "$library" "$dir$library"
		fi
	done
}

# image_elf_files PATH: programs and libraries; BPF objects and other relocatable files name no libraries.
image_elf_files() {
	find -L "$1" -type f -size +0 -print0 | while IFS= read -r -d '' file; do
		if [[ $(head -c 18 "$file" | od -An -tx1 | tr -d ' \n') =~ ^7f454c46.{24}0[23]00$ ]]; then printf '%s\n' "$file"; fi
	done
}

# image_pack DIR FILE: everything belongs to root in the guest, whoever runs this.
image_pack() { (cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --quiet -0 -o -H newc -R +0:+0) >"$2"; }
