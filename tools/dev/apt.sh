# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Packages of other Debian suites, without touching this machine's apt configuration: apt runs with lists and a cache of
# our own, and takes the archive's address, proxies and credentials from the machine's configuration. Signatures are
# checked against Debian's own keyring.

# The index is asked for again when it is older than this.
index_max_age_days=1

is_debian() { have apt-get && have dpkg && grep -qsx 'ID=debian' /etc/os-release; }

debian_keyring() {
	local file
	for file in /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
		if [[ -r $file ]]; then
			echo "$file"
			return
		fi
	done
	die "Debian's archive keyring is missing" "apt-get install debian-archive-keyring"
}

# The archives that this machine is configured with and that may be Debian's main one, the likeliest first. apt itself
# reads its configuration, so the format of the files does not matter. Once there are package lists apt knows whose
# archive it is; before that the suite's name has to do, and the signature decides.
debian_archives() {
	local codename
	codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
	{
		apt-get indextargets --format '$(CREATED_BY)|$(REPO_URI)|$(RELEASE)|$(ORIGIN)|$(LABEL)' |
			awk -F'|' '$4 == "Debian" && $5 ~ /^Debian( Backports)?$/'
		apt-get indextargets --no-release-info --format '$(CREATED_BY)|$(REPO_URI)|$(RELEASE)' |
			awk -F'|' -v codename="$codename" 'index($3, codename) == 1 || $3 ~ /^(stable|testing|unstable|sid)$/'
	} 2>/dev/null | awk -F'|' '$1 == "Packages" && $2 !~ /^cdrom:/ && $3 !~ /security/ && !seen[$2]++ { print $2 }'
}

# apt_for SUITE PROGRAM ARG...: an apt program that sees only SUITE.
apt_for() {
	local dir="$cache/apt/$1" program=$2
	shift 2
	local -a options=(
		-o "Dir::Etc::sourcelist=$dir/suite.sources" -o Dir::Etc::sourceparts=/dev/null
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
		-o "Dir::State::lists=$dir/lists" -o "Dir::State::status=$dir/status" -o "Dir::Cache=$dir/cache"
		-o Acquire::Languages=none -o Acquire::Retries=1 -o APT::Get::List-Cleanup=false -o APT::Update::Error-Mode=any
	)
	# A cache in root's home is out of reach for apt's own user.
	if [[ $(id -u) -eq 0 ]]; then options+=(-o APT::Sandbox::User=root); fi
	"$program" "${options[@]}" "$@"
}

# apt_index SUITE KIND: makes sure that an index (KIND: deb or deb-src) of SUITE is here. An old one is renewed, and when
# that is not possible (no network) used as it is.
apt_index() { with_lock "apt-$1" apt_index_locked "$@"; }

apt_index_locked() {
	local suite=$1 kind=$2 dir="$cache/apt/$1" uri
	if [[ ${refresh:-} != 1 && -n $(find "$dir/complete" -mtime "-$index_max_age_days" 2>/dev/null) ]]; then return; fi
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/status"
	local keyring
	keyring=$(debian_keyring) || exit
	while read -r uri; do
		printf '%s\n' "Types: $kind" "URIs: $uri" "Suites: $suite" 'Components: main' "Signed-By: $keyring" >"$dir/suite.sources"
		if step "Reading the package index of Debian $suite" apt_for "$suite" apt-get update; then
			touch "$dir/complete"
			return
		fi
	done < <(debian_archives)
	if [[ -e $dir/complete ]]; then
		warn "the package index of Debian $suite could not be renewed; using the one from $(date -r "$dir/complete" +%F)"
		return
	fi
	die "no configured archive has Debian's suite $suite" \
		"check the network, the clock and this machine's apt sources (apt-get update), then run it again"
}
