# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Completion of scxhost's words for bash: commands and options from the program's own help, plugins from its list, options
# of a scheduler after --set.

_scxhost_words() {
	# Option names and subcommands stand at the start of the help's lines.
	scxhost "$@" --help 2>/dev/null | sed '/^Examples/Q' | grep -oE '^  (-[a-zA-Z],)?(--[a-z-]+|[a-z]+)' | sed 's/^ *//; s/^-[a-zA-Z],//' | sort -u
}

_scxhost() {
	local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} words=''
	COMPREPLY=()
	if ((COMP_CWORD == 1)); then
		words=$(_scxhost_words)
	elif [[ $previous == --plugin-dir ]]; then
		mapfile -t COMPREPLY < <(compgen -d -- "$current")
		return
	elif [[ $previous == --set || $previous == -s ]]; then
		words=$(scxhost options "${COMP_WORDS[2]}" 2>/dev/null | awk '/^[a-z]/ { print $1 "=" }')
		compopt -o nospace
	elif [[ $current == -* ]]; then
		words=$(_scxhost_words "$command" | grep -e '^-')
	else
		case $command in
		run | check | inspect | options)
			words=$(scxhost list 2>/dev/null | awk 'NR > 1 { print $1 }')
			mapfile -t COMPREPLY < <(compgen -f -X '!*.@(toml|o|so)' -- "$current"; compgen -d -S / -- "$current")
			;;
		esac
	fi
	mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _scxhost scxhost
