# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The guest's root file system: busybox, what is known of terminals, our init, an installation of scxhost, added files, and
# the shared libraries that all of these name. One uncompressed cpio archive: unpacking a compressed one costs emulated time.

# image_base DIR: folders, busybox and init.
image_base() {
	local dir=$1 busybox
	busybox=$(command -v busybox)
	mkdir -p "$dir"/{dev,proc,sys,run,tmp,root,etc,scx,usr/bin,usr/sbin,usr/lib,usr/lib64,var}
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$dir/"
	ln -s /run "$dir/var/run"
	cp "$busybox" "$dir/usr/bin/busybox"
	# Links to the program at the place where it was started, which is /bin or /usr/bin.
	"$busybox" --install -s "$dir/usr/bin"
	cp "$tools/init" "$dir/init"
	printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'nobody:x:65534:65534:nobody:/:/bin/false' >"$dir/etc/passwd"
	printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' >"$dir/etc/group"
}

# image_terminals DIR: what programs that draw on a terminal look up: usual ones and the one that this runs on, and which
# characters UTF-8 has, which is in the C library in some distributions and in a file in others. What this machine does not
# know is left out.
image_terminals() {
	local name folder entry characters=usr/lib/locale/C.utf8/LC_CTYPE
	if [[ -f /$characters ]]; then install -D -m 644 "/$characters" "$1/$characters"; fi
	for name in dumb linux screen screen-256color tmux tmux-256color vt100 xterm xterm-256color "${TERM:-dumb}"; do
		if [[ $name == */* ]]; then continue; fi
		for folder in "${TERMINFO:-}" "${HOME:-}/.terminfo" /etc/terminfo /lib/terminfo /usr/share/terminfo; do
			entry=$folder/${name:0:1}/$name
			if [[ ! -f $entry ]]; then continue; fi
			mkdir -p "$1/usr/share/terminfo/${name:0:1}"
			cp -L "$entry" "$1/usr/share/terminfo/${name:0:1}/"
			break
		done
	done
}

# image_kernel_config DIR FILE: what the guest's kernel was built with; init puts it where distributions keep it, since only
# the kernel knows its full name. FILE may be empty.
image_kernel_config() {
	if [[ $2 ]]; then install -m 644 "$2" "$1/scx/kernel-config"; fi
}

# image_stage DIR STAGE: a folder with an installation in it (usr/bin/scxhost and so on).
image_stage() {
	cp -a --remove-destination "$2/." "$1/"
	image_libraries "$1" "$2"
}

# image_installation DIR PREFIX: the parts that a guest uses of an installation of this machine, to /usr.
image_installation() {
	local dir=$1 prefix=$2 part
	for part in bin/scxhost lib/scxhost share/scxhost/configs; do
		if [[ ! -e $prefix/$part ]]; then continue; fi
		mkdir -p "$(dirname "$dir/usr/$part")"
		cp -aT --remove-destination "$prefix/$part" "$dir/usr/$part"
		image_libraries "$dir" "$prefix/$part"
	done
}

# image_add DIR PATH: a file or a folder, to /root. Where it comes from, a group may be allowed to change it; in the guest
# it is root's alone, or scxhost would not take it.
image_add() {
	cp -aL --remove-destination "$2" "$1/root/"
	chmod -R go-w "$1/root/${2##*/}"
	image_libraries "$1" "$2"
}

# image_libraries DIR PATH: the shared libraries that the ELF files in PATH name, the dynamic linker among them.
image_libraries() {
	local dir=$1 file library place needed missing
	while read -r file; do
		# Of a statically linked program ldd says just that, and fails; it needs nothing.
		needed=$(ldd "$file" 2>/dev/null) || continue
		missing=$(awk '/=> not found/ { print $1 }' <<<"$needed")
		if [[ $missing ]]; then warn "$file needs ${missing//$'\n'/, }, which ldd does not find; it will not start in the guest"; fi
		awk '/=> \// { print $3 } /^\t\// { print $1 }' <<<"$needed"
	done < <(image_elf_files "$2") | sort -u | while read -r library; do
		place=$dir$library
		# Under a build's own path a mount of the guest may hide it, /tmp for one. The linker looks here last.
		if [[ ! $library =~ ^(/usr)?/lib ]]; then place=$dir/usr/lib/${library##*/}; fi
		if [[ ! -e $place ]]; then
			mkdir -p "$(dirname "$place")"
			cp -L "$library" "$place"
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
