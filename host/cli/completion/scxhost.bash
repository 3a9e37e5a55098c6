# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Completion of scxhost for bash. What may follow, scxhost says.

_scxhost() {
	local line=${COMP_LINE:0:COMP_POINT} words=() word i
	# Bash makes several words of KEY=VALUE: what no blank parts is one again.
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if ((i == 0)) || [[ $line == [[:blank:]]* ]]; then words+=(''); fi
		line=${line#"${line%%[![:blank:]]*}"}
		# The last one may go on behind the cursor.
		if [[ $line != "$word"* ]]; then word=$line; fi
		line=${line#"$word"}
		words[${#words[@]} - 1]+=$word
	done

	local current=${words[${#words[@]} - 1]} answer=() skip='' suffix
	mapfile -t answer < <(command "${words[0]}" __complete "${words[@]:1}" 2>/dev/null)
	# It replaces only what stands behind the last of these.
	local breaks=${COMP_WORDBREAKS//[^=:]/}
	if [[ $breaks ]]; then skip=${current%"${current##*["$breaks"]}"}; fi
	COMPREPLY=()
	for word in "${answer[@]:1}"; do
		word=${word%%$'\t'*}
		if [[ $word == *[=.] ]]; then compopt -o nospace; fi
		COMPREPLY+=("${word#"$skip"}")
	done
	if [[ $current == --*=* ]]; then current=${current#*=}; fi
	case ${answer[0]-} in
	folders) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$current") ;;
	files) mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "$current") ;;
	schedulers)
		mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- "$current")
		for suffix in toml o so; do
			mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -X "!*.$suffix" -- "$current")
		done
		;;
	*) return ;;
	esac
	compopt -o filenames
}

complete -F _scxhost scxhost
