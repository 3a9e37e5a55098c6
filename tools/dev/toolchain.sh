# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What has to be installed (toolchain.list), what is missing of it, and how it gets here.

toolchain_rows() { sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$root/toolchain.list"; }

# tool_minimum NAME
tool_minimum() { toolchain_rows | awk -v name="$1" '$1 == name { print $2 }'; }

# tool_program NAME: the first program of a cmd: probe that is here and new enough; false when there is none.
tool_program() {
	local name=$1 minimum probe candidates candidate
	read -r _ minimum _ probe _ < <(toolchain_rows | awk -v name="$name" '$1 == name')
	IFS='|' read -r -a candidates <<<"${probe#cmd:}"
	for candidate in "${candidates[@]}"; do
		if [[ $minimum == - ]] && have "$candidate" || program_at_least "$candidate" "$minimum"; then
			echo "$candidate"
			return
		fi
	done
	return 1
}

# program_at_least PROGRAM MINIMUM
program_at_least() {
	local version
	have "$1" || return
	version=$("$1" --version 2>/dev/null | grep -oE -m 1 '[0-9]+(\.[0-9]+)+' | head -n 1)
	[[ $version ]] && version_at_least "$version" "$2"
}

# tool_present NAME MINIMUM PROBE
tool_present() {
	local what=${3#*:}
	case $3 in
	cmd:*) tool_program "$1" >/dev/null ;;
	pc:*) if [[ $2 == - ]]; then pkg-config --exists "$what"; else pkg-config --exists "$what >= $2"; fi 2>/dev/null ;;
	file:*) [[ -e $what ]] ;;
	static:*) have "$what" && is_static "$(command -v "$what")" ;;
	esac
}

# is_static PROGRAM: it needs no shared library. ldd fails for an ordinary static program; of one that can be loaded
# anywhere (static-pie) it says so in a line.
is_static() {
	local needed
	needed=$(ldd "$1" 2>/dev/null) || return 0
	[[ $needed == *'statically linked'* ]]
}

# tools_missing PURPOSE...: "name minimum package" of all that is missing, one a line. libbpf is not among them.
tools_missing() {
	local name minimum purpose probe package
	while read -r name minimum purpose probe package; do
		if [[ " $* " == *" $purpose "* && $package != - ]] && ! tool_present "$name" "$minimum" "$probe"; then
			echo "$name $minimum $package"
		fi
	done < <(toolchain_rows)
}

# ensure PURPOSE...: installs what is missing for these purposes; quick when nothing is.
ensure() {
	local missing
	local -a packages
	missing=$(tools_missing "$@")
	if [[ $missing ]]; then
		mapfile -t packages < <(awk '{ print $3 }' <<<"$missing")
		if ! is_debian; then
			{
				echo "${red}error:$plain this is not Debian, so ./dev does not install anything here. Missing (with Debian's package names):"
				awk '{ printf "  %-16s %s  (%s)\n", $1, ($2 == "-" ? "" : ">= " $2), $3 }' <<<"$missing"
				echo "  ${bold}do:$plain install them with this system's package manager, then run it again"
			} >&2
			exit 1
		fi
		install_packages "${packages[@]}"
		missing=$(tools_missing "$@")
		[[ ! $missing ]] || die "installed, but still missing or too old: $(awk '{ print $1 ($2 == "-" ? "" : " >= " $2) }' <<<"$missing" | paste -sd, | sed 's/,/, /g')" \
			"see what the packages ${packages[*]} brought (dpkg -L), or install newer ones"
	fi
	if [[ " $* " == *" build "* ]]; then libbpf_setup; fi
	if [[ " $* " == *" test "* ]]; then prometheus_setup; fi
}

# install_packages PACKAGE...
install_packages() {
	local -a as_root=()
	if [[ $(id -u) -ne 0 ]]; then
		have sudo || die "missing: $*; installing them takes root, and there is no sudo" "as root: apt-get install $*"
		say "Installing packages takes root: $*"
		sudo -v || die "sudo was refused" "as root: apt-get install $*"
		as_root=(sudo)
	fi
	with_lock packages install_packages_locked "$@" || exit
}

install_packages_locked() {
	local -a install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 --no-install-recommends install)
	# A new container has no package lists at all, and old ones name packages that are gone.
	if ! apt-get --simulate install "$@" >/dev/null 2>&1; then
		step "Reading the package lists" "${as_root[@]}" apt-get update ||
			die "the package lists could not be read" "check the network and this machine's apt sources (apt-get update)"
	fi
	say "Packages: $*"
	if step "Installing $# packages" "${install[@]}" "$@"; then return; fi
	if step "Reading the package lists" "${as_root[@]}" apt-get update && step "Installing $# packages" "${install[@]}" "$@"; then return; fi
	die "the packages could not be installed" "read apt's lines above; by hand: apt-get install $*"
}
